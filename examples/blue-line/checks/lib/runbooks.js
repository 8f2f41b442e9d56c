// The pages of runbooks/, and what stands in them. Run as a program, it prints their queries as rules,
// which promtool can parse (make lint-rules).
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { command, read, root } from './repository.js';
import { milliseconds, namesOf, rules } from './rules.js';

/** The names of all pages, which are those of alerts. */
export const pages = () =>
  globSync('runbooks/*.md', { cwd: root })
    .map((file) => basename(file, '.md'))
    .filter((name) => name !== 'README')
    .sort();

/** The text of a page. */
export const page = (name) => read(`runbooks/${name}.md`);

/** The sections of a text by their headings. What stands before the first one is left out. */
export const sections = (text) =>
  Object.fromEntries(
    text
      .split(/^## /m)
      .slice(1)
      .map((section) => section.split(/\n([\s\S]*)/)),
  );

/** The fenced blocks of one language. */
export const blocks = (text, language) =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``, 'g'))].map(
    ([, block]) => block,
  );

const CONDITION =
  /^\*\*(\w+)\*\*, (?:at once|after (\w+))(?:, window (\w+))?: ([\s\S]*?)\n\n```promql\n([^`]*)```/gm;

/** What "Fires when" says: each condition in words, and the rule that it stands for. */
export const conditions = (text) =>
  [...(sections(text)['Fires when'] ?? '').matchAll(CONDITION)].map(
    ([, severity, after, window, words, expr]) => ({ severity, after, window, words, expr }),
  );

const NOT_NAMES =
  /"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\boffset\s+\w+|\b(by|without|on|ignoring|group_\w+)\b\s*(\([^)]*\))?/g;

/** The series that a query reads: what is no operator, and no function. */
export const seriesOf = (query) =>
  (query.replace(NOT_NAMES, '').match(/(?<![\w.:])[a-zA-Z_][\w:]*\b(?!\s*\()/g) ?? []).filter(
    (name) => !/^(and|or|unless|bool|inf|nan)$/i.test(name),
  );

const UNITS = {
  second: 's',
  minute: 'm',
  hour: 'h',
  day: 'd',
  ms: 'ms',
  s: 's',
  m: 'm',
  h: 'h',
  d: 'd',
};

/** A number as it is compared: 5 minutes and 300 seconds are the same, 50 % is 0.5. */
function quantity(number, unit = '') {
  if (unit === '%') return String(Number((number / 100).toFixed(6)));
  const known = UNITS[unit] ?? UNITS[unit.replace(/s$/, '')];
  return known ? `${(milliseconds(`1${known}`) * number) / 1000} s` : String(Number(number));
}

const STATUS_CODE = /^[1-5]\d\d$/;

/** The prose of a page: without blocks and code, but for code that is nothing but a number. */
const prose = (text) =>
  text
    .replace(/^ *```[\s\S]*?^ *```/gm, '')
    .replace(/`([^`]*)`/g, (_, code) =>
      /^[\d.]+ ?(%|[a-z]+)?$/.test(code) && !STATUS_CODE.test(code) ? code : '',
    )
    .replace(/\]\([^)]*\)/g, ']')
    .replace(/^ *\d\. /gm, '');

/** The numbers in a text for people, as they are written and as they are compared. */
export const numbersIn = (text) => [
  ...[...prose(text).matchAll(/(?<![\w.])(\d+(?:\.\d+)?)\s*(%|[a-z]+)?/g)].map(
    ([written, number, unit]) => ({ written, value: quantity(number, unit) }),
  ),
  ...[...prose(text).matchAll(/\b(?:an?|last|that)\s+(minute|hour|day)\b/g)].map(
    ([written, unit]) => ({ written, value: quantity(1, unit) }),
  ),
];

/** Spelled out, a number would not be compared. */
export const numberWords = (text) =>
  prose(text).match(
    /\b(two|three|four|five|six|seven|eight|nine|ten|twelve|half|tenth|twice)\b/gi,
  ) ?? [];

/** The numbers that stand in an expression, without durations. */
export const literals = (expr) =>
  (
    expr
      .replace(/"[^"]*"|\[[^\]]*\]|offset\s+\w+/g, '')
      .match(/(?<![\w.:])\d+(\.\d+)?(?![\w:])/g) ?? []
  )
    .map(Number)
    .map(String);

const recorded = rules().filter(({ record }) => record);

/** Whether a number says anything: 0 and 1 are in every expression. */
export const telling = (number) => !['0', '1'].includes(number);

/** The numbers that decide whether an alert fires: those of its expression, and the least that counts. */
export const thresholds = ({ expr }) => [
  ...literals(expr).filter(telling),
  ...recorded
    .filter(({ record }) => record.startsWith('slo:alerts:') && namesOf(expr).includes(record))
    .flatMap((rule) => literals(rule.expr)),
];

/** All numbers behind an alert: its own, and those of the recorded series that it reads. */
export function numbersOf({ expr, for: after = '' }) {
  const seen = new Set();
  const found = new Set(literals(expr).map((number) => `${number} s`));
  const add = (text) => {
    for (const number of literals(text)) found.add(number);
    for (const [duration] of text.matchAll(/(\d+(ms|[smhdw]))+(?!\w)/g)) {
      found.add(`${milliseconds(duration) / 1000} s`);
    }
    for (const rule of recorded.filter(({ record }) => namesOf(text).includes(record))) {
      if (seen.has(rule)) continue;
      seen.add(rule);
      add(rule.expr);
    }
  };
  add(after);
  add(expr);
  return found;
}

function main() {
  const groups = pages().map((name) => ({
    name,
    rules: blocks(page(name), 'promql').map((expr, index) => ({
      record: `runbooks:${name}:${index + 1}`,
      expr,
    })),
  }));
  process.stdout.write(stringify({ groups }));
}

if (import.meta.main) command(main);
