// Runs monitoring/tests/ with promtool: all files, or those whose names begin with one of the
// arguments. The tests are written for the objectives below, so that yours can change without a
// change of the tests; all else is the shipped rules.
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { command, read, root } from './repository.js';
import { namesOf, ruleGroups } from './rules.js';

const OBJECTIVES = {
  'slo:availability:objective': 0.999,
  'slo:latency:objective': 0.99,
  'slo:latency:threshold_seconds': 0.3,
  'slo:alerts:minimum_failures': 5,
  'slo:alerts:minimum_rate': 1,
};

/** The shipped rules with the objectives that the tests are written for. */
export function rulesForTests() {
  return ruleGroups().map((group) => ({
    ...group,
    rules: group.rules.map((rule) => ({
      ...rule,
      expr:
        rule.record in OBJECTIVES
          ? `vector(${OBJECTIVES[rule.record]})`
          : rule.expr.replace(/\ble="[^"]*"/g, 'le="0.3"'),
    })),
  }));
}

// What a scrape in the cluster adds to the labels that a series has itself.
const SCRAPES = [
  [
    /^(?:up|http_\w+|nodejs_\w+|process_\w+|build_info)\{.*?\bservice="([^"]+)"/,
    (name) => ({
      namespace: 'apps',
      pod: `${name}-1`,
      job: name,
      container: name,
      endpoint: 'metrics',
      instance: '10.0.0.1:9090',
    }),
  ],
  [
    /^kube_/,
    () => ({
      namespace: 'monitoring',
      pod: 'kube-prometheus-stack-kube-state-metrics-1',
      service: 'kube-prometheus-stack-kube-state-metrics',
      job: 'kube-state-metrics',
      container: 'kube-state-metrics',
      endpoint: 'http',
      instance: '10.0.0.2:8080',
    }),
  ],
  [
    /^container_/,
    () => ({
      service: 'kube-prometheus-stack-kubelet',
      job: 'kubelet',
      metrics_path: '/metrics/cadvisor',
      endpoint: 'https-metrics',
      instance: '10.0.0.3:10250',
    }),
  ],
];

function scraped(series) {
  const [pattern, labelsOf] = SCRAPES.find(([each]) => each.test(series)) ?? [];
  if (!pattern) return series;
  const added = Object.entries(labelsOf(pattern.exec(series)[1]))
    .filter(([label]) => !new RegExp(`[{,]\\s*${label}=`).test(series))
    .map(([label, value]) => `, ${label}="${value}"`);
  return series.replace(/\}$/, `${added.join('')}}`);
}

/** The rules that a file of tests asks for, and those whose series they read. */
function needed({ tests }, groups) {
  const names = new Set();
  const rules = new Set();
  const follow = (text) => {
    for (const name of text.match(/[a-zA-Z_][\w:]*/g) ?? []) {
      if (names.has(name)) continue;
      names.add(name);
      for (const rule of groups.flatMap((group) => group.rules)) {
        if (name !== (rule.alert ?? rule.record)) continue;
        rules.add(rule);
        follow(rule.expr);
      }
    }
  };
  for (const { alert_rule_test = [], promql_expr_test = [] } of tests) {
    for (const { alertname } of alert_rule_test) follow(alertname);
    for (const { expr } of promql_expr_test) follow(expr);
  }
  return groups
    .map((group) => ({ ...group, rules: group.rules.filter((rule) => rules.has(rule)) }))
    .filter((group) => group.rules.length > 0);
}

/** The groups, each behind those whose series it reads: promtool has no order of its own. */
function inOrder(groups) {
  const left = [...groups];
  const order = [];
  while (left.length > 0) {
    const next = left.findIndex((group) => {
      const read = new Set(group.rules.flatMap(({ expr }) => namesOf(expr)));
      const others = left.filter((other) => other !== group);
      return !others.some(({ rules }) => rules.some(({ record }) => read.has(record)));
    });
    if (next < 0) throw new Error(`groups read each other: ${left.map(({ name }) => name)}`);
    order.push(...left.splice(next, 1));
  }
  return order;
}

/** A file of tests as promtool reads it, and the rules that it needs, which are to be in `rulesFile`. */
export function prepared(file, groups, rulesFile) {
  const ordered = inOrder(needed(file, groups));
  const tests = file.tests.map((each) => ({
    ...each,
    input_series: each.input_series.map((input) => ({ ...input, series: scraped(input.series) })),
  }));
  return {
    rules: { groups: ordered },
    tests: {
      rule_files: [rulesFile],
      evaluation_interval: '30s',
      group_eval_order: ordered.map(({ name }) => name),
      fuzzy_compare: true,
      ...file,
      tests,
    },
  };
}

// To promtool, 0x10 is a zero and ten more of it.
const withoutHexadecimal = (tags) => tags.filter(({ format }) => format !== 'HEX');

/** The files of monitoring/tests/, by their names. */
export const testFiles = () =>
  Object.fromEntries(
    globSync('monitoring/tests/*.yaml', { cwd: root })
      .sort()
      .map((file) => [basename(file), parse(read(file), { customTags: withoutHexadecimal })]),
  );

function main() {
  const wanted = process.argv.slice(2);
  const groups = rulesForTests();
  const files = Object.entries(testFiles()).filter(
    ([file]) => !wanted.length || wanted.some((name) => file.startsWith(name)),
  );
  if (files.length === 0) throw new Error(`monitoring/tests/ holds no ${wanted[0] ?? ''}*.yaml`);
  const folder = mkdtempSync(join(tmpdir(), 'rules-'));
  try {
    for (const [name, file] of files) {
      const { rules, tests } = prepared(file, groups, `rules-of-${name}`);
      writeFileSync(join(folder, `rules-of-${name}`), stringify(rules));
      writeFileSync(join(folder, name), stringify(tests));
    }
    const names = files.map(([name]) => name);
    execFileSync('promtool', ['test', 'rules', ...names], { cwd: folder, stdio: 'inherit' });
  } catch (error) {
    // promtool has said what is wrong.
    if (error.status) throw new Error('monitoring/tests/ and monitoring/rules/ disagree');
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) command(main);
