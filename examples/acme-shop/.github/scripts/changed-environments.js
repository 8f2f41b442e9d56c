// Says in which environments a pull request may change what Terraform makes. On a branch it is all of them:
// what an earlier run has left undone is not forgotten. Dev comes first, production last.
// PULL_REQUEST is its number, HEAD_REPOSITORY where its commits are; both are empty on a branch.
// Sets the output `environments`: none for a pull request of a fork, whose jobs get no credential.
import { globSync } from 'node:fs';
import { command, root } from '../../checks/lib/repository.js';
import { output, warn } from './lib/actions.js';
import { git } from './lib/git.js';

const rank = (environment) => ({ dev: 0, production: 2 })[environment] ?? 1;
const environments = globSync('infra/envs/*/main.tf', { cwd: root })
  .map((file) => file.split('/').at(-2))
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

/** What the merge of a pull request changes: its first parent is the branch that it goes to. */
const changes = (...options) =>
  git('diff', '--name-only', '--no-renames', 'HEAD^1', 'HEAD', ...options).split('\n');

/** Which environments a file belongs to; none for what Terraform does not read. */
function environmentsOf(file) {
  const [, own] = /^infra\/envs\/([^/]+)\//.exec(file) ?? [];
  if (own) return [own];
  return /^(infra\/modules\/|\.github\/|mise\.toml$)/.test(file) ? environments : [];
}

function main() {
  const { PULL_REQUEST, HEAD_REPOSITORY, GITHUB_REPOSITORY } = process.env;
  if (!PULL_REQUEST) {
    output('environments', environments);
    return;
  }
  if (HEAD_REPOSITORY !== GITHUB_REPOSITORY) {
    warn('A pull request of a fork gets no credential, so nothing is planned.');
    output('environments', []);
    return;
  }
  // A service has resources of its own as long as its folder is there, whatever stands in it.
  const services = changes('--diff-filter=AD', '--', 'services/*/package.json').filter(Boolean);
  const found = new Set(changes().flatMap(environmentsOf));
  const wanted = environments.filter((name) => services.length > 0 || found.has(name));
  output('environments', wanted);
}

command(main);
