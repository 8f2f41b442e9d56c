import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeRepository } from './testing/repository.js';

const message = (source) => `Release to dev\n\nSource: ${source}`;

function changed(repository, ...args) {
  const { status, stderr, stdout, outputs } = repository.run('changed-services.js', ...args);
  assert.equal(status, 0, stderr);
  return { services: outputs.services, stdout };
}

test('a service that has never been released is built', (t) => {
  const { services, stdout } = changed(makeRepository(t));
  assert.deepEqual(services, ['first', 'second']);
  assert.match(stdout, /^first: has never been released$/m);
});

test('what has not changed since its release is not built', (t) => {
  const repository = makeRepository(t);
  const source = repository.git('rev-parse', 'HEAD');
  repository.release({ first: 'a', second: 'b' }, message(source));
  assert.deepEqual(changed(repository).services, []);
});

test('only the service that has changed is built', (t) => {
  const repository = makeRepository(t);
  const source = repository.git('rev-parse', 'HEAD');
  repository.release({ first: 'a', second: 'b' }, message(source));
  repository.change('second');
  const { services, stdout } = changed(repository);
  assert.deepEqual(services, ['second']);
  assert.match(stdout, new RegExp(`^second: has changed since ${source}$`, 'm'));
});

test('a change that lands between the build and its release is not lost', (t) => {
  const repository = makeRepository(t);
  const source = repository.git('rev-parse', 'HEAD');
  repository.change('first');
  repository.release({ first: 'a', second: 'b' }, message(source));
  assert.deepEqual(changed(repository).services, ['first']);
});

test('two services that were released at different times are each compared with their own', (t) => {
  const repository = makeRepository(t);
  const one = repository.git('rev-parse', 'HEAD');
  repository.release({ first: 'a' }, message(one));
  const two = repository.change('second');
  repository.release({ second: 'b' }, message(two));
  assert.deepEqual(changed(repository).services, []);
  repository.change('first');
  assert.deepEqual(changed(repository).services, ['first']);
});

test('a change that is undone needs no build', (t) => {
  const repository = makeRepository(t);
  const source = repository.git('rev-parse', 'HEAD');
  repository.release({ first: 'a', second: 'b' }, message(source));
  repository.change('first');
  repository.git('revert', '--no-edit', 'HEAD');
  assert.deepEqual(changed(repository).services, []);
});

test('after a rollback of dev, what main holds is built again', (t) => {
  const repository = makeRepository(t);
  repository.release({ first: 'a', second: 'b' }, message(repository.git('rev-parse', 'HEAD')));
  const source = repository.change('first');
  repository.release({ first: 'c' }, message(source));
  assert.deepEqual(changed(repository).services, []);
  repository.git('revert', '--no-edit', 'HEAD');
  assert.deepEqual(changed(repository).services, ['first']);
});

test('without a trailer, or with one of a commit that is not there, the service is built', (t) => {
  const repository = makeRepository(t);
  repository.release({ first: 'a' }, 'By hand');
  repository.release({ second: 'b' }, message('0'.repeat(40)));
  const { services, stdout } = changed(repository);
  assert.deepEqual(services, ['first', 'second']);
  assert.match(stdout, /no commit says from which source sha256:a+ was built/);
});

test('what has been released is read from the branch, not from the checkout', (t) => {
  const repository = makeRepository(t);
  const source = repository.git('rev-parse', 'HEAD');
  repository.release({ first: 'a', second: 'b' }, message(source));
  repository.git('checkout', '--quiet', source);
  assert.deepEqual(changed(repository).services, ['first', 'second']);
  assert.deepEqual(changed(repository, 'main').services, []);
});

test('a branch that is not there is an error, not an empty list', (t) => {
  const { status, stderr } = makeRepository(t).run('changed-services.js', 'origin/main');
  assert.equal(status, 1);
  assert.match(stderr, /origin\/main/);
});
