import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, makeRepository } from './testing/repository.js';

function repositoryWithRegistry(t, registries = {}) {
  const repository = makeRepository(t);
  for (const environment of ['dev', 'staging', 'production']) {
    const file = join(repository.folder, `deploy/environments/${environment}/facts.yaml`);
    const registry = `  registry: ${registries[environment] ?? 'registry.example'}`;
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^ {2}registry: .*$/m, registry));
  }
  repository.release({ first: 'a', second: 'b' }, 'Release');
  return repository;
}

const plan = (repository, ...args) => repository.run('plan-promotion.js', ...args);

test('one service, with what it replaces', (t) => {
  const repository = repositoryWithRegistry(t);
  const { outputs } = plan(repository, 'first', 'dev', 'staging');
  assert.deepEqual(outputs.plan, [{ service: 'first', digest: digestOf('a') }]);
  repository.release({ first: 'c' }, 'Promote', 'staging');
  const later = plan(repository, 'first', 'dev', 'staging').outputs;
  assert.deepEqual(later.plan[0].before, digestOf('c'));
  assert.deepEqual(later.services, ['first']);
});

test('all services, without those that are the same or not released', (t) => {
  const repository = repositoryWithRegistry(t);
  repository.release({ second: 'b' }, 'Promote', 'staging');
  assert.deepEqual(plan(repository, 'all', 'dev', 'staging').outputs.services, ['first']);
  assert.deepEqual(plan(repository, 'all', 'staging', 'production').outputs.services, ['second']);
});

for (const [args, message] of [
  [['third', 'dev', 'staging'], /third: there is no such service; there are first, second/],
  [['first', 'staging', 'production'], /first has not been released to staging/],
  [['first', 'staging', 'staging'], /these are the same/],
  [['first', 'dev'], /usage/],
]) {
  test(`${args.join(' ')} is refused`, (t) => {
    const { status, stderr } = plan(repositoryWithRegistry(t), ...args);
    assert.equal(status, 1);
    assert.match(stderr, message);
  });
}

test('environments with different registries are refused', (t) => {
  const repository = repositoryWithRegistry(t, { production: 'other.example' });
  repository.release({ first: 'a' }, 'Promote', 'staging');
  const { status, stderr } = plan(repository, 'first', 'staging', 'production');
  assert.equal(status, 1);
  assert.match(stderr, /different registries/);
});
