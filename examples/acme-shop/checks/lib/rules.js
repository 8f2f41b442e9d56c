// The Prometheus rules inside this repository's PrometheusRule objects. Run as a program, it prints
// them in the format that Prometheus and promtool read: rules.js [--faster=N] [--grafana=URL].
import { globSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse, stringify } from 'yaml';
import { command, read, root } from './repository.js';

/** All rule groups of monitoring/rules/, in the order of their files' names. */
export function ruleGroups() {
  return globSync('monitoring/rules/*.yaml', { cwd: root })
    .sort()
    .map((file) => parse(read(file)))
    .filter(({ kind }) => kind === 'PrometheusRule')
    .flatMap(({ spec }) => spec.groups);
}

/** All rules of monitoring/rules/. */
export const rules = () => ruleGroups().flatMap((group) => group.rules);

/**
 * The words of an expression that can be names of series: without texts, ranges and grouping labels.
 */
export const namesOf = (expr) =>
  expr
    .replace(/"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\b(by|on|group_left)\s*\([^)]*\)/g, '')
    .match(/[a-zA-Z_][\w:]*/g) ?? [];

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const DURATION = /(\d+)(ms|[smhdw])/g;

/** A duration of Prometheus, like `1h30m`, in milliseconds. */
export const milliseconds = (duration) =>
  [...duration.matchAll(DURATION)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * MILLISECONDS[unit],
    0,
  );

const shorter = (text, factor) =>
  text.replace(/(\d+(ms|[smhdw]))+/g, (duration) => `${milliseconds(duration) / factor}ms`);

// A text in quotes, a range or subquery, or an offset. Names like rate5m are none of these.
const TIME = /"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\boffset\s+\S+/g;

/**
 * The same rules for a time that passes faster: every duration (ranges, offsets, `for`, intervals)
 * is divided by a factor, and nothing else changes. Rates stay per second, counts are not scaled.
 */
export function faster(groups, factor) {
  const expression = (expr) =>
    expr.replace(TIME, (part) => (part.startsWith('"') ? part : shorter(part, factor)));
  const timed = (entry, ...keys) =>
    Object.fromEntries(
      keys.filter((key) => key in entry).map((key) => [key, shorter(entry[key], factor)]),
    );
  return groups.map((group) => ({
    ...group,
    ...timed(group, 'interval'),
    rules: group.rules.map((rule) => ({
      ...rule,
      ...timed(rule, 'for', 'keep_firing_for'),
      expr: expression(rule.expr),
    })),
  }));
}

/** The same rules with the address of Grafana in the links of their alerts. */
export const linked = (groups, grafana) =>
  groups.map((group) => ({
    ...group,
    rules: group.rules.map((rule) => {
      if (!rule.annotations?.dashboard_url) return rule;
      const link = rule.annotations.dashboard_url.replace(/^from-facts/, grafana);
      return { ...rule, annotations: { ...rule.annotations, dashboard_url: link } };
    }),
  }));

function main() {
  const { values } = parseArgs({
    options: { faster: { type: 'string', default: '1' }, grafana: { type: 'string' } },
  });
  const factor = Number(values.faster);
  if (!(factor >= 1)) throw new Error(`--faster is ${values.faster}: it must be a number from 1`);
  let groups = ruleGroups();
  if (factor > 1) groups = faster(groups, factor);
  if (values.grafana) groups = linked(groups, values.grafana);
  process.stdout.write(stringify({ groups }));
}

if (import.meta.main) command(main);
