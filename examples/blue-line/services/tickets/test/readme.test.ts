import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import pkg from '../package.json' with { type: 'json' };
import { ConfigSchema, ruleOf, type Variable } from '../src/config.ts';
import { METRICS } from '../src/metrics.ts';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

test('the configuration table is the one that the schema describes', () => {
  const rows = Object.entries(ConfigSchema.properties).map(([name, property]) => {
    const variable: Variable & { description?: string } = property;
    const preset = name === 'SERVICE_VERSION' ? 'package.json' : (variable.default ?? 'required');
    return `| \`${name}\` | ${preset} | ${ruleOf(variable)} | ${variable.description} |`;
  });
  const table = [
    '| variable | default | must be | purpose |',
    '| --- | --- | --- | --- |',
    ...rows,
  ];
  // The formatter pads the cells.
  const padless = readme.replace(/ {2,}/g, ' ').replace(/-{3,}/g, '---');
  assert.ok(
    padless.includes(`\n${table.join('\n')}\n\n`),
    `README.md needs:\n\n${table.join('\n')}\n`,
  );
});

test('every metric is explained', () => {
  for (const { name } of Object.values(METRICS)) assert.ok(readme.includes(`\`${name}`), name);
});

test('every npm script is explained', () => {
  for (const script of Object.keys(pkg.scripts)) {
    assert.match(readme, new RegExp(`^npm (run )?${script} +#`, 'm'));
  }
});
