// Recording rules name raw metrics once, alerts read what they record, and each alert says whom it
// concerns and what to do.
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { environments, factsOf } from './lib/facts.js';
import { read, root, services } from './lib/repository.js';
import { namesOf, ruleGroups, rules } from './lib/rules.js';

const alerts = rules().filter(({ alert }) => alert);
const named = ({ alert, labels }) => `${alert}${labels.window ? ` (${labels.window})` : ''}`;
const recorded = new Set(rules().map(({ record }) => record));
const asserted = globSync('monitoring/tests/*.yaml', { cwd: root })
  .flatMap((file) => parse(read(file)).tests)
  .flatMap(({ alert_rule_test = [] }) => alert_rule_test);
const raw = (expr, prefix) =>
  namesOf(expr).filter((name) => !name.includes(':') && new RegExp(`^(${prefix})_`).test(name));

test('a file of alerts holds nothing else', () => {
  for (const file of globSync('monitoring/rules/*.yaml', { cwd: root })) {
    const { kind, metadata, spec } = parse(read(file));
    if (kind !== 'PrometheusRule') continue;
    assert.equal(metadata.name, basename(file, '.yaml'), `${file}: its metadata.name`);
    for (const rule of spec.groups.flatMap((group) => group.rules)) {
      const fits = metadata.name.startsWith('alerts-') ? rule.alert : rule.record;
      assert.ok(fits, `${file}: ${rule.alert ?? rule.record}: alerts-*.yaml holds the alerts`);
    }
  }
});

test('every group says how often it is evaluated', () => {
  // Without, a scaled copy (rules.js --faster) would be evaluated as slowly as before.
  for (const { name, interval } of ruleGroups()) assert.ok(interval, `group ${name}: interval`);
});

test('every recorded series that a rule reads is recorded', () => {
  for (const { alert, record, expr } of rules()) {
    for (const series of namesOf(expr).filter((name) => name.includes(':'))) {
      assert.ok(recorded.has(series), `${alert ?? record} reads ${series}; no rule records it`);
    }
  }
});

test('every recorded series is read by a rule, a dashboard, a runbook or an analysis', () => {
  const readers = [
    'monitoring/dashboards/*.json',
    'runbooks/*.md',
    'deploy/{apps,charts}/**/*.yaml',
  ];
  const words = new Set(
    [
      ...rules().flatMap(({ expr }) => namesOf(expr)),
      ...globSync(readers, { cwd: root }).flatMap((file) => read(file).match(/[\w:]+/g)),
    ].filter((name) => name.includes(':')),
  );
  for (const { record } of rules().filter(({ record }) => record)) {
    assert.ok(words.has(record), `${record} is read by nobody: leave it out`);
  }
});

test('alerts read recorded series, not the raw metrics of services', () => {
  for (const { alert, expr } of alerts) {
    const [name] = raw(expr, 'http|nodejs|process|build');
    assert.equal(name, undefined, `${alert} reads ${name}: record it in monitoring/rules first`);
  }
});

for (const service of services) {
  test(`every http_ metric that a rule reads is one of ${service}`, async () => {
    const { METRICS } = await import(`../services/${service}/src/metrics.ts`);
    const names = Object.values(METRICS).flatMap(({ name, type }) =>
      type === 'histogram' ? ['bucket', 'count', 'sum'].map((part) => `${name}_${part}`) : [name],
    );
    for (const { record, expr } of rules()) {
      for (const name of raw(expr, 'http')) {
        assert.ok(names.includes(name), `${record} reads ${name}, which ${service} does not have`);
      }
    }
  });
}

test('alerts of one name differ in a label', () => {
  const keys = alerts.map(named);
  assert.equal(new Set(keys).size, keys.length, `twice the same: ${keys}`);
});

for (const rule of alerts) {
  const { alert, expr, labels, annotations } = rule;

  test(`${named(rule)} is tested`, () => {
    const cases = asserted.filter(({ alertname }) => alertname === alert);
    const fires = ({ exp_alerts = [] }) =>
      exp_alerts.some(({ exp_labels }) => exp_labels.window === labels.window);
    assert.ok(cases.some(fires), `${named(rule)} fires in no test of monitoring/tests/`);
    const always = expr === 'vector(1)';
    const silent = cases.some((each) => !fires(each));
    assert.ok(always || silent, `no test of monitoring/tests/ has ${named(rule)} stay silent`);
  });

  test(`${named(rule)} says what it is about`, () => {
    assert.match(labels.severity, /^(critical|warning|none)$/, `${alert}: severity`);
    if (!labels.service) {
      assert.match(expr, /namespace="apps"|(service|pod):/, `${alert}: no service in its series`);
    }
    for (const name of ['summary', 'description', 'runbook_url', 'dashboard_url']) {
      assert.ok(annotations[name], `${alert} has no annotation ${name}`);
    }
    assert.match(annotations.dashboard_url, /^from-facts\/d\/[\w-]+/, `${alert}: dashboard_url`);
  });

  test(`${named(rule)} leads to its runbook`, () => {
    const home = factsOf(environments[0]).gitRepository.replace(/\.git$/, '');
    const wanted = `${home}/blob/main/runbooks/${alert}.md`;
    assert.equal(annotations.runbook_url, wanted, `${alert}: runbook_url`);
    assert.ok(existsSync(join(root, `runbooks/${alert}.md`)), `runbooks/${alert}.md is missing`);
  });
}

test('every burn rate can be reached', () => {
  const objectives = Object.fromEntries(
    rules()
      .filter(({ record }) => record?.endsWith(':objective'))
      .map(({ record, expr }) => [record, Number(/^vector\((.+)\)$/.exec(expr)[1])]),
  );
  for (const { alert, expr } of alerts) {
    for (const [, factor, name] of expr.matchAll(/([\d.]+) \* \(1 - scalar\((\S+?)\)\)/g)) {
      const share = factor * (1 - objectives[name]);
      assert.ok(share > 0, `${name}: an objective of 100 % leaves no error budget`);
      assert.ok(share < 1, `${alert}: ${factor} x (1 - ${objectives[name]}) must be below 1`);
    }
  }
});
