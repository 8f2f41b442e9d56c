import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference } from './sbom.js';

const library = (name, version, group) => ({ type: 'library', name, version, group });

test('packages that come, go and change are told, and nothing else', () => {
  const before = { components: [library('a', '1'), library('b', '1'), library('same', '1')] };
  const after = {
    components: [
      library('a', '2'),
      library('same', '1'),
      library('new', '1', '@scope'),
      { type: 'application', name: 'package.json' },
    ],
  };
  assert.deepEqual(difference(before, after), ['added @scope/new 1', 'a 1 → 2', 'removed b 1']);
  assert.deepEqual(difference(after, after), []);
});

test('several versions of a package are compared together', () => {
  const before = { components: [library('a', '2'), library('a', '1')] };
  const after = { components: [library('a', '1'), library('a', '3')] };
  assert.deepEqual(difference(before, after), ['a 1, 2 → 1, 3']);
  assert.deepEqual(difference({ components: [library('a', '1'), library('a', '2')] }, before), []);
});

test('an SBOM without components is an empty one', () => {
  assert.deepEqual(difference({}, { components: [library('a', '1')] }), ['added a 1']);
});
