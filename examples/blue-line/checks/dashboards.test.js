// Dashboards load, say what they show, read recorded series only, and reach Grafana.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import {
  dashboards,
  expressions,
  numbers,
  panels,
  seriesNames,
  substituted,
  VALUES,
} from './lib/dashboards.js';
import { environments, factsOf } from './lib/facts.js';
import { read, root } from './lib/repository.js';
import { rules } from './lib/rules.js';

const all = dashboards();
const uids = all.map(({ name }) => name);
const recorded = new Set(rules().flatMap(({ record }) => record ?? []));
// Prometheus itself keeps these of every alert.
const OF_ALERTS = ['ALERTS', 'ALERTS_FOR_STATE'];
const UID = '$' + '{datasource}';

// Who acts on a number: alerts, and the analysis that takes a canary back.
const judges = [
  ...rules()
    .filter(({ alert }) => alert)
    .map(({ alert, expr }) => ({ name: alert, reads: seriesNames(expr), has: numbers(expr) })),
  ...globSync('deploy/**/analysistemplate.yaml', { cwd: root }).flatMap((file) =>
    [...read(file).matchAll(/([\w:]+)\{[^>]*\} > bool ([\d.]+)/g)].map(([, series, number]) => ({
      name: file,
      reads: [series],
      has: [Number(number)],
    })),
  ),
];

test('there are dashboards', () => assert.ok(all.length > 0, 'monitoring/dashboards/ holds none'));

/** Every address in a dashboard. */
function addresses(value) {
  if (Array.isArray(value)) return value.flatMap(addresses);
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'url' ? [inner] : addresses(inner),
  );
}

for (const { file, name, model } of all) {
  const shown = panels(model).filter(({ type }) => type !== 'row');
  const asked = expressions(model).map((entry) => ({
    ...entry,
    place: `${file}, ${entry.kind} ${entry.title} ${entry.ref}`.trim(),
  }));
  const declared = (model.templating?.list ?? []).map((variable) => variable.name);

  test(`${file} is one that Grafana's sidecar loads and people recognise`, () => {
    for (const key of ['elements', 'apiVersion', 'kind', 'spec']) {
      const advice = 'export it with "Export for sharing externally" off and the Classic model';
      assert.ok(!(key in model), `${file} has ${key}: it is of schema v2. In Grafana, ${advice}`);
    }
    assert.equal(model.uid, name, `${file}: uid is ${model.uid}; it must be the name of the file`);
    assert.equal(model.editable, false, `${file}: "editable": false, as edits would be lost`);
    assert.ok(!('id' in model), `${file}: remove "id": it is of one Grafana only`);
    for (const key of ['title', 'description', 'time', 'refresh']) {
      assert.ok(model[key], `${file} has no ${key}`);
    }
  });

  test(`${file}: its data source can be chosen`, () => {
    const variable = model.templating?.list?.find(({ type }) => type === 'datasource');
    const advice = '{ "name": "datasource", "type": "datasource", "query": "prometheus", ... }';
    assert.ok(variable?.name === 'datasource', `${file}: add the variable ${advice}`);
    assert.equal(variable.query, 'prometheus', `${file}: query of the variable datasource`);
    const wanted = { type: 'prometheus', uid: UID };
    const users = [
      ...shown.map((panel) => [panel.title, panel.datasource]),
      ...shown.flatMap(({ title, targets = [] }) => targets.map((t) => [title, t.datasource])),
      ...model.templating.list
        .filter(({ type }) => type === 'query')
        .map((query) => [query.name, query.datasource]),
      ...(model.annotations?.list ?? []).map((entry) => [entry.name, entry.datasource]),
    ];
    for (const [title, datasource] of users) {
      assert.deepEqual(datasource, wanted, `${file}, ${title}: datasource`);
    }
  });

  test(`${file}: each panel says what it is, and in what unit`, () => {
    for (const panel of shown) {
      const place = `${file}, panel ${panel.id} (${panel.title || 'without title'})`;
      assert.ok(panel.title, `${place}: title`);
      assert.ok(panel.description, `${place}: description: what is good, what is bad, what to do`);
      assert.ok(panel.fieldConfig?.defaults?.unit, `${place}: fieldConfig.defaults.unit`);
      assert.ok(panel.targets?.length > 0, `${place} asks nothing: it has no targets`);
      if (panel.transformations?.some(({ id }) => id === 'merge')) {
        for (const { expr } of panel.targets) {
          const advice = 'which keeps its name, so rows would not merge: max by (...) drops it';
          assert.doesNotMatch(expr, /^[\w:]+(\{[^}]*\})?$/, `${place} reads ${expr}, ${advice}`);
        }
      }
      if (panel.type === 'table') continue;
      for (const { refId, legendFormat } of panel.targets) {
        assert.ok(legendFormat, `${place}, query ${refId}: legendFormat`);
      }
    }
  });

  test(`${file}: panels have their own ids, titles and places`, () => {
    const boxes = panels(model);
    const twice = (values) => values.find((value, index) => values.indexOf(value) !== index);
    const id = twice(boxes.map((panel) => panel.id));
    assert.equal(id, undefined, `${file}: two panels have the id ${id}`);
    const title = twice(shown.map((panel) => panel.title));
    assert.equal(title, undefined, `${file}: two panels have the title ${title}`);
    for (const [index, { title, gridPos: a }] of boxes.entries()) {
      assert.ok(a.x + a.w <= 24, `${file}, ${title}: it is wider than the 24 columns`);
      const other = boxes
        .slice(index + 1)
        .find(
          ({ gridPos: b }) =>
            a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h,
        );
      assert.equal(other, undefined, `${file}: ${title} and ${other?.title} overlap`);
    }
  });

  test(`${file} reads what is recorded`, () => {
    for (const { place, expr } of asked) {
      for (const series of seriesNames(substituted(expr))) {
        assert.ok(
          recorded.has(series) || OF_ALERTS.includes(series),
          `${place} reads ${series}, which no rule of monitoring/rules records: record it first`,
        );
      }
      const number = numbers(substituted(expr)).find((value) => value !== 0 && value !== 1);
      const advice = 'read it from a slo: series, or record it in monitoring/rules';
      assert.equal(number, undefined, `${place} holds the number ${number}: ${advice}`);
    }
  });

  test(`${file} uses its variables`, () => {
    const known = Object.keys(VALUES).filter((key) => key.startsWith('__'));
    const values = Object.fromEntries([...known, ...declared].map((key) => [key, 'x1']));
    for (const { kind, place, expr } of asked) {
      assert.doesNotThrow(() => substituted(expr, values), `${place} uses a variable`);
      if (kind === 'variable' || !declared.includes('service')) continue;
      for (const series of seriesNames(substituted(expr))) {
        // Objectives are those of every service.
        if (series.startsWith('slo:')) continue;
        const found = expr.match(new RegExp(`(?<![\\w:])${series}(?![\\w:])`, 'g'));
        const chosen = expr.match(
          new RegExp(`(?<![\\w:])${series}\\{[^}]*\\bservice="\\$service"`, 'g'),
        );
        const advice = `write ${series}{service="$service"}, or it shows all services`;
        assert.equal(chosen?.length, found.length, `${place}: ${advice}`);
      }
    }
  });

  test(`${file}: a line in a panel is where somebody acts`, () => {
    for (const { title, targets, fieldConfig } of shown) {
      const configs = [fieldConfig.defaults, ...fieldConfig.overrides.flatMap(thresholdsOf)];
      const steps = configs.flatMap(({ thresholds }) => thresholds?.steps ?? []);
      const reads = targets.flatMap(({ expr }) => seriesNames(expr));
      for (const { value } of steps) {
        if (value === null || value === 0 || value === 1) continue;
        const acts = judges.filter((judge) => judge.reads.some((series) => reads.includes(series)));
        assert.ok(
          acts.some(({ has }) => has.includes(value)),
          `${file}, ${title}: a threshold is ${value}; on these series act ${
            acts.map((judge) => `${judge.name} (${judge.has})`).join(', ') || 'no alerts'
          }`,
        );
      }
    }
  });

  test(`${file}: links lead somewhere`, () => {
    const home = factsOf(environments[0]).gitRepository.replace(/\.git$/, '');
    const alerts = judges.map((judge) => judge.name);
    for (const url of addresses(model)) {
      const [, uid] = /^\/d\/([\w-]+)/.exec(url) ?? [];
      const [, runbook] = /\/runbooks\/(.+)\.md$/.exec(url) ?? [];
      if (uid) assert.ok(uids.includes(uid), `${file} links to ${url}; there are ${uids}`);
      else if (url.startsWith('/')) assert.equal(url, '/alerting/list', `${file} links to ${url}`);
      else assert.ok(url.startsWith(`${home}/`), `${file} links to ${url}; it must be in ${home}/`);
      if (runbook && !runbook.startsWith('$')) {
        assert.ok(alerts.includes(runbook), `${file} links to ${url}; no alert has this name`);
      }
    }
    for (const { tags = [], type } of model.links ?? []) {
      if (type !== 'dashboards') continue;
      const found = all.filter(({ model: { tags: has } }) =>
        tags.every((tag) => has.includes(tag)),
      );
      assert.deepEqual(found, all, `${file} links to dashboards tagged ${tags}; tag them all`);
    }
  });
}

function thresholdsOf({ properties }) {
  return properties
    .filter(({ id }) => id === 'thresholds')
    .map(({ value }) => ({ thresholds: value }));
}

test('every alert leads to a dashboard', () => {
  for (const { alert, annotations } of rules().filter((rule) => rule.alert)) {
    const [, uid] = /\/d\/([\w-]+)/.exec(annotations.dashboard_url) ?? [];
    assert.ok(uids.includes(uid), `${alert}: dashboard_url leads to ${uid}; there are ${uids}`);
  }
});

test('every dashboard reaches Grafana', () => {
  const file = 'monitoring/dashboards/kustomization.yaml';
  const { namespace, generatorOptions: options, configMapGenerator: maps } = parse(read(file));
  const files = maps.flatMap((map) => map.files);
  for (const name of uids) assert.ok(files.includes(`${name}.json`), `${file} lacks ${name}.json`);
  for (const map of maps) {
    assert.equal(map.files.length, 1, `${file}: ${map.name} must hold one dashboard`);
    const size = read('monitoring/dashboards', map.files[0]).length;
    assert.ok(size < 1_000_000, `${map.files[0]} has ${size} characters; a ConfigMap holds 1 MiB`);
  }
  const stack = parse(read('deploy/platform/kube-prometheus-stack/values.yaml'));
  const sidecar = stack['kube-prometheus-stack'].grafana.sidecar.dashboards;
  assert.equal(namespace, sidecar.searchNamespace, `${file}: where Grafana's sidecar looks`);
  const { label = 'grafana_dashboard', labelValue = '1', folderAnnotation } = sidecar;
  assert.equal(options.labels?.[label], labelValue, `${file}: the label that the sidecar selects`);
  assert.ok(options.annotations?.[folderAnnotation], `${file}: annotation ${folderAnnotation}`);
});
