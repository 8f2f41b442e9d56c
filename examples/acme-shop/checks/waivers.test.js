// A waiver says why, until when, and who looks at it again; else nobody ever does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { read } from './lib/repository.js';

const FILE = '.trivyignore.yaml';
const SECTIONS = ['vulnerabilities', 'misconfigurations', 'secrets'];
const MOST_DAYS = 90;
const DAY = 24 * 60 * 60 * 1000;

const isText = (value) => isScalar(value) && typeof value.value === 'string';
const isTexts = (value) => isSeq(value) && value.items.length > 0 && value.items.every(isText);

/** What each part of a waiver must be: a rule on its node, and the rule in words. */
const RULES = {
  id: [(node) => isText(node) && /^\S+$/.test(node.value), 'what Trivy calls the finding'],
  statement: [
    (node) => isText(node) && node.value.trim().split(/\s+/).length >= 4,
    'a sentence: why the finding does no harm here, or why it cannot be mended yet',
  ],
  owner: [
    (node) => isText(node) && /^@[\w-]+(\/[\w-]+)?$/.test(node.value),
    'who looks at it again: "@user" or "@organization/team", in quotes',
  ],
  expired_at: [
    // Of a quoted date, Trivy makes an error.
    (node) => isText(node) && node.type === 'PLAIN' && !Number.isNaN(dayOf(node)),
    'a day, YYYY-MM-DD without quotes',
  ],
};
const OPTIONAL = {
  paths: [isTexts, 'a list of files, ** for any folders'],
  purls: [isTexts, 'a list of packages, like pkg:npm/fastify'],
};

function dayOf({ value }) {
  return /^\d{4}-\d{2}-\d{2}$/.test(value) ? Date.parse(value) : Number.NaN;
}

/** One line for each fault in a file of waivers, with its line number. */
function faults(text, today) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const at = (node) => `${FILE}:${node?.range ? lines.linePos(node.range[0]).line : 1}`;
  const found = document.errors.map(({ message }) => `${FILE}: ${message}`);
  if (found.length > 0) return found;

  for (const { key, value: entries } of document.contents.items) {
    if (!SECTIONS.includes(key.value)) {
      found.push(`${at(key)}: ${key.value}: sections are ${SECTIONS.join(', ')}`);
      continue;
    }
    for (const entry of entries?.items ?? []) {
      if (isMap(entry)) found.push(...faultsOf(entry, at, today));
      else found.push(`${at(entry)}: an entry has ${Object.keys(RULES).join(', ')}`);
    }
  }
  return found;
}

function faultsOf(entry, at, today) {
  const found = [];
  for (const { key, value } of entry.items) {
    const [holds, words] = RULES[key.value] ?? OPTIONAL[key.value] ?? [];
    if (!holds) found.push(`${at(key)}: ${key.value}: a waiver has no such part`);
    else if (!holds(value)) found.push(`${at(key)}: ${key.value} must be ${words}`);
  }
  for (const [name, [, words]] of Object.entries(RULES)) {
    if (!entry.has(name)) found.push(`${at(entry)}: ${name} is missing: ${words}`);
  }
  const until = entry.get('expired_at', true);
  const days = isScalar(until) ? (dayOf(until) - today) / DAY : Number.NaN;
  if (days <= 0) {
    found.push(
      `${at(until)}: ${entry.get('id')}: the waiver has expired. Mend the finding, or judge it anew`,
    );
  } else if (days > MOST_DAYS) {
    found.push(`${at(until)}: ${entry.get('id')}: at most ${MOST_DAYS} days ahead, not ${days}`);
  }
  return found;
}

test(`every waiver in ${FILE} is complete and holds`, () => {
  const today = Date.parse(new Date().toISOString().slice(0, 10));
  assert.deepEqual(faults(read(FILE), today), []);
});

// The file may be empty for long, and nobody would see that its check finds nothing.
const GOOD = {
  id: 'CVE-2026-1',
  statement: 'No code of ours calls it.',
  owner: '"@acme/web"',
  expired_at: '2026-04-01',
};
for (const [change, fault] of [
  [{}, undefined],
  [{ paths: '[app/package-lock.json]', purls: '[pkg:npm/fastify]' }, undefined],
  [{ expired_at: '2026-01-01' }, ':5: CVE-2026-1: the waiver has expired'],
  [{ expired_at: '2025-12-01' }, ':5: CVE-2026-1: the waiver has expired'],
  [{ expired_at: '2026-04-02' }, ':5: CVE-2026-1: at most 90 days ahead, not 91'],
  [{ expired_at: '"2026-03-01"' }, ':5: expired_at must be a day'],
  [{ expired_at: 'never' }, ':5: expired_at must be a day'],
  [{ expired_at: undefined }, ':2: expired_at is missing'],
  [{ owner: undefined }, ':2: owner is missing'],
  [{ owner: 'web' }, ':4: owner must be who looks at it again'],
  [{ statement: 'later' }, ':3: statement must be a sentence'],
  [{ statement: undefined }, ':2: statement is missing'],
  // Without one, it would lift every finding.
  [{ id: undefined }, ':2: id is missing'],
  [{ reason: 'none' }, ':6: reason: a waiver has no such part'],
  [{ paths: 'app' }, ':6: paths must be a list of files'],
]) {
  const parts = Object.entries({ ...GOOD, ...change }).filter(([, value]) => value !== undefined);
  const entry = parts.map(([name, value]) => `${name}: ${value}`).join('\n    ');
  test(`a waiver with ${JSON.stringify(change)}: ${fault ?? 'is complete'}`, () => {
    const found = faults(`vulnerabilities:\n  - ${entry}\n`, Date.parse('2026-01-01'));
    assert.equal(found.length, fault ? 1 : 0, found.join('\n'));
    if (fault) assert.ok(found[0].startsWith(`${FILE}${fault}`), found[0]);
  });
}

test('a section that Trivy does not know would lift nothing', () => {
  const [fault] = faults('vulnerability:\n  - id: CVE-2026-1\n', 0);
  assert.match(
    fault ?? '',
    /^\.trivyignore\.yaml:1: vulnerability: sections are vulnerabilities, /,
  );
});
