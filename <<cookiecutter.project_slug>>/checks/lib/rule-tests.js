// Runs monitoring/tests/ with promtool. The tests are written for the objectives below, so that
// yours can change without a change of the tests; all else is the shipped rules.
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { command, read, root } from './repository.js';
import { ruleGroups } from './rules.js';

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

/** The names of groups, each behind those whose series it reads: promtool has no order of its own. */
function inOrder(groups) {
  const left = [...groups];
  const order = [];
  while (left.length > 0) {
    const next = left.findIndex((group) => {
      const text = group.rules.map(({ expr }) => expr).join(' ');
      const reads = (name) => new RegExp(`(?<![\\w:])${name}(?![\\w:])`).test(text);
      const others = left.filter((other) => other !== group);
      return !others.some(({ rules }) => rules.some(({ record }) => record && reads(record)));
    });
    if (next < 0) throw new Error(`groups read each other: ${left.map(({ name }) => name)}`);
    order.push(left.splice(next, 1)[0].name);
  }
  return order;
}

function main() {
  const groups = rulesForTests();
  const folder = mkdtempSync(join(tmpdir(), 'rules-'));
  try {
    writeFileSync(join(folder, 'rules.yaml'), stringify({ groups }));
    const files = globSync('monitoring/tests/*.yaml', { cwd: root }).sort();
    if (files.length === 0) throw new Error('monitoring/tests/ holds no *.yaml');
    const names = files.map((file) => {
      const frame = {
        rule_files: ['rules.yaml'],
        evaluation_interval: '30s',
        group_eval_order: inOrder(groups),
      };
      writeFileSync(join(folder, basename(file)), stringify({ ...frame, ...parse(read(file)) }));
      return basename(file);
    });
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
