// docs/control-matrix.md says which control stands where, and what proves it; all of that must be there.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { read, root } from './lib/repository.js';
import { sections } from './lib/runbooks.js';

const MATRIX = 'docs/control-matrix.md';
const SETTINGS = 'infra/.checkov.yaml';

/** The rows of a table, each a list of cells. */
const rows = (text) =>
  [...text.matchAll(/^\| (.+) \|$/gm)]
    .map(([, row]) => row.split('|').map((cell) => cell.trim()))
    .slice(2);

/** A cell like [`a` `b`](../file): the file, and the words in it. */
function pointer(cell) {
  const [, words, file] = /^\[(.+)\]\((.+)\)$/.exec(cell) ?? [];
  assert.ok(file, `${MATRIX}: ${cell} is no link`);
  const names = [...words.matchAll(/`([^`]+)`/g)].map(([, word]) => word);
  return { file: join('docs', file), names };
}

const text = read(MATRIX);
const checks = (cell) => cell.match(/CKV2?_AWS_\d+/g) ?? [];

for (const [control, , , where, proof] of rows(text.split('\n## ')[0])) {
  test(`control: ${control}`, () => {
    const code = pointer(where);
    for (const word of code.names) {
      assert.ok(read(code.file).includes(word), `${MATRIX}: ${code.file} has no ${word}`);
    }
    const tests = pointer(proof);
    for (const name of tests.names) {
      const found = read(tests.file).includes(`\nrun "${name}" {\n`);
      assert.ok(found, `${MATRIX}: ${tests.file} has no run "${name}"`);
    }
    const both = code.names.length > 0 && tests.names.length > 0;
    assert.ok(both, `${MATRIX}: ${control}: where, and proved by`);
  });
}

test('what Checkov leaves out is told, and nothing else', () => {
  const left = new Set(parse(read(SETTINGS))['skip-check'].map((id) => `${id} ${SETTINGS}`));
  for (const file of globSync('infra/**/*.tf', { cwd: root })) {
    for (const [, id] of read(file).matchAll(/#checkov:skip=(\w+):/g)) left.add(`${id} ${file}`);
  }
  const told = rows(sections(text)['What is left out']).flatMap(([ids, where]) =>
    checks(ids).map((id) => `${id} ${pointer(where).file}`),
  );
  assert.deepEqual(told.toSorted(), [...left].sort(), `${MATRIX}: what is left out`);
});
