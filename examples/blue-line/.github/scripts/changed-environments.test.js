import assert from 'node:assert/strict';
import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { makeRepository } from './testing/repository.js';

const ALL = ['dev', 'staging', 'production'];

const NAME = 'acme/shop';
const repository = makeRepository({ after });
const { folder, git, commit } = repository;
const begin = git('rev-parse', 'HEAD');

beforeEach(() => {
  git('checkout', '--quiet', '--force', '--detach', begin);
  git('clean', '--quiet', '--force', '-d');
  repository.environment = {};
});

/** Makes what a pull request changes, and merges it as GitHub does for its checks. */
function mergePullRequest(change) {
  change();
  const head = commit('Change');
  git('checkout', '--quiet', '--detach', begin);
  // What somebody else has brought to main is not part of the pull request.
  writeFileSync(join(folder, 'infra/envs/production/note.txt'), '');
  commit('Meanwhile');
  git('merge', '--quiet', '--no-ff', '--message=Merge', head);
  repository.environment = { PULL_REQUEST: '7', HEAD_REPOSITORY: NAME, GITHUB_REPOSITORY: NAME };
}

function touch(file) {
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  appendFileSync(join(folder, file), '\n');
}

function concerned() {
  const { outputs, stderr } = repository.run('changed-environments.js');
  assert.equal(stderr, '');
  return outputs.environments;
}

for (const [what, files, expected] of [
  ['the values of one environment', ['infra/envs/staging/main.tf'], ['staging']],
  ['a module', ['infra/modules/network/main.tf'], ALL],
  ['a version of a program', ['mise.toml'], ALL],
  ['a script', ['.github/scripts/plan-infra.js'], ALL],
  ['what is made once for an account', ['infra/bootstrap/main.tf'], []],
  ['what a service does', ['services/first/package.json', 'services/first/src/server.ts'], []],
  ['an environment and a document', ['infra/envs/dev/main.tf', 'docs/local.md'], ['dev']],
]) {
  test(`a change of ${what} concerns ${expected.join(', ') || 'none'}`, () => {
    mergePullRequest(() => files.forEach(touch));
    assert.deepEqual(concerned(), expected);
  });
}

const first = join(folder, 'services/first');
for (const [what, change] of [
  ['a new service', () => cpSync(first, join(folder, 'services/third'), { recursive: true })],
  ['a service that is gone', () => rmSync(first, { recursive: true })],
]) {
  test(`${what} concerns all`, () => {
    mergePullRequest(change);
    assert.deepEqual(concerned(), ALL);
  });
}

test('on a branch it is all of them, with others between dev and production', () => {
  const envs = join(folder, 'infra/envs');
  cpSync(join(envs, 'staging'), join(envs, 'demo'), { recursive: true });
  assert.deepEqual(concerned(), ['dev', 'demo', 'staging', 'production']);
});

for (const head of ['stranger/shop', '']) {
  test(`a pull request of ${head || 'a fork that is gone'} is not planned, and is told so`, () => {
    mergePullRequest(() => touch('infra/envs/dev/main.tf'));
    repository.environment.HEAD_REPOSITORY = head;
    repository.environment.GITHUB_ACTIONS = 'true';
    const { outputs, stdout } = repository.run('changed-environments.js');
    assert.deepEqual(outputs.environments, []);
    assert.match(stdout, /^::warning::.*fork/m);
  });
}
