// The dashboards of monitoring/dashboards/ and all that they ask Prometheus. Run as a program, it
// prints their expressions as recording rules, for promtool to judge; with --json, as a list.
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import { command, read, root, services } from './repository.js';

/** All dashboards: file, its name without ending, text and model. */
export const dashboards = () =>
  globSync('monitoring/dashboards/*.json', { cwd: root })
    .sort()
    .map((file) => ({
      file,
      name: basename(file, '.json'),
      text: read(file),
      model: JSON.parse(read(file)),
    }));

/** All panels, those inside rows too, and the rows themselves. */
export const panels = ({ panels: list = [] }) => list.flatMap((panel) => [panel, ...panels(panel)]);

// What a query variable asks for: the series of label_values(SERIES, LABEL).
function seriesOf({ name, query }) {
  const text = query?.query ?? query;
  const found = /^label_values\((.+),\s*\w+\)$/.exec(text);
  if (!found) throw new Error(`variable ${name}: write label_values(SERIES, LABEL), not ${text}`);
  return found[1];
}

/**
 * All that a dashboard asks: where it stands (`kind` is panel, variable or annotation; `title` its
 * name; `ref` tells the queries of one panel apart) and the expression as it is written.
 */
export function expressions({ panels: list, templating, annotations }) {
  const ofPanels = panels({ panels: list }).flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr, legendFormat = '' }) => ({
      kind: 'panel',
      title,
      ref: refId,
      legend: legendFormat,
      expr,
    })),
  );
  const ofVariables = (templating?.list ?? [])
    .filter(({ type }) => type === 'query')
    .map((variable) => ({
      kind: 'variable',
      title: variable.name,
      ref: '',
      legend: '',
      expr: seriesOf(variable),
    }));
  const ofAnnotations = (annotations?.list ?? [])
    .filter(({ builtIn }) => !builtIn)
    .map(({ name, target }) => ({
      kind: 'annotation',
      title: name,
      ref: '',
      legend: '',
      expr: target.expr,
    }));
  return [...ofPanels, ...ofVariables, ...ofAnnotations];
}

/** What Grafana puts in place of variables, for a look at six hours. */
export const VALUES = {
  service: services[0],
  datasource: 'prometheus',
  __interval: '1m',
  __rate_interval: '2m',
  __range: '6h',
};

/** An expression as Grafana sends it: with values in place of the variables. */
export const substituted = (expr, values = VALUES) =>
  expr.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (variable, braced, bare) => {
    const value = values[braced ?? bare];
    if (value === undefined) throw new Error(`${variable} in ${expr}: there is no such variable`);
    return value;
  });

// Without texts, ranges, offsets and grouping labels.
const bare = (expr) =>
  expr.replace(
    /"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\boffset\s+\S+|\b(by|without|on|ignoring|group_(left|right))\s*\([^)]*\)/g,
    '',
  );
const KEYWORDS = new Set(['and', 'or', 'unless', 'bool', 'by', 'on', 'ignoring', 'without']);

/** The names of the series that an expression reads. */
export const seriesNames = (expr) =>
  (
    bare(expr)
      .replace(/\{[^}]*\}/g, '')
      .match(/(?<![\w:.])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()/g) ?? []
  ).filter((name) => !KEYWORDS.has(name));

/** The numbers in an expression, without the size of a topk. */
export const numbers = (expr) =>
  (
    bare(expr)
      .replace(/\b(top|bottom)k\s*\(\s*\d+/g, '')
      .match(/(?<![\w.:])\d+(\.\d+)?(?![\w.])/g) ?? []
  ).map(Number);

const word = (...texts) => texts.filter(Boolean).join(' ').toLowerCase().replace(/\W+/g, '_');

function main() {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, service: { type: 'string', default: VALUES.service } },
  });
  const all = dashboards().flatMap(({ name, model }) =>
    expressions(model).map((entry) => ({
      dashboard: name,
      ...entry,
      expr: substituted(entry.expr, { ...VALUES, service: values.service }),
    })),
  );
  if (values.json) {
    console.log(JSON.stringify(all, null, 2));
    return;
  }
  // The names are what promtool says is wrong.
  const groups = dashboards().map(({ name }) => ({
    name,
    rules: all
      .filter(({ dashboard }) => dashboard === name)
      .map(({ kind, title, ref, expr }) => ({
        record: `${word(name)}:${kind}:${word(title, ref)}`,
        expr,
      })),
  }));
  process.stdout.write(stringify({ groups }));
}

if (import.meta.main) command(main);
