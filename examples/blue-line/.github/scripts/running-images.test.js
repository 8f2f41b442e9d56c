import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf, makeRepository } from './testing/repository.js';

/** A repository in which each environment has a registry of its own. */
function repositoryOf(t) {
  const repository = makeRepository(t);
  for (const environment of ['dev', 'staging', 'production']) {
    const facts = join(repository.folder, `deploy/environments/${environment}/facts.yaml`);
    const text = readFileSync(facts, 'utf8');
    const registry = `  registry: registry.example/${environment}`;
    writeFileSync(facts, text.replace(/^ {2}registry: .*$/m, registry));
  }
  return repository;
}

test('before the first release nothing runs', (t) => {
  const { status, outputs, stdout } = repositoryOf(t).run('running-images.js');
  assert.equal(status, 0);
  assert.deepEqual(outputs.images, []);
  assert.match(stdout, /^first in production: not released$/m);
});

test('a digest that several environments run is scanned once, and says where it runs', (t) => {
  const repository = repositoryOf(t);
  repository.release({ first: 'b', second: 'c' }, 'Release', 'dev');
  repository.release({ first: 'a' }, 'Release', 'staging');
  repository.release({ first: 'a' }, 'Release', 'production');
  const { images } = repository.run('running-images.js').outputs;
  assert.deepEqual(
    images.map(({ name, environments }) => [name, environments]),
    [
      [`first-${'b'.repeat(12)}`, ['dev']],
      [`first-${'a'.repeat(12)}`, ['production', 'staging']],
      [`second-${'c'.repeat(12)}`, ['dev']],
    ],
  );
  const [{ service, digest, reference }] = images;
  assert.deepEqual([service, digest], ['first', digestOf('b')]);
  assert.match(reference, /^registry\.example\/dev\/[\w-]+\/first@sha256:b{64}$/);
});

test('what a revert has taken back does not run', (t) => {
  const repository = repositoryOf(t);
  repository.release({ first: 'a' }, 'Release', 'dev');
  repository.git('revert', '--no-edit', 'HEAD');
  assert.deepEqual(repository.run('running-images.js').outputs.images, []);
});
