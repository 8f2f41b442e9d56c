// What git knows of releases. `ref` is a commit, or a branch like origin/main.
import { spawnSync } from 'node:child_process';
import { git } from '../../../checks/lib/git.js';
import { NO_DIGEST, releaseFile, root } from '../../../checks/lib/repository.js';

export { git };

/** Whether a command of git answers yes. */
export const asksGit = (...args) => spawnSync('git', args, { cwd: root }).status === 0;

/** Whether one commit is another one or comes before it. */
export const isBefore = (first, second) => asksGit('merge-base', '--is-ancestor', first, second);

/** The digest that an environment runs of a service; undefined when nothing has been released. */
export function digestAt(ref, service, environment) {
  const file = `${ref}:${releaseFile(service, environment)}`;
  if (!asksGit('cat-file', '-e', file)) return undefined;
  const digest = /^ {2}digest: (sha256:[0-9a-f]{64})$/m.exec(git('cat-file', 'blob', file))?.[1];
  return digest === NO_DIGEST ? undefined : digest;
}

/**
 * The commit from which the image of a digest was built: the commit that brought the digest to dev
 * says so in a trailer. Undefined when there is none, or when it names a commit that is not in `ref`.
 */
export function sourceOf(ref, service, digest) {
  const format = '--format=%H %(trailers:key=Source,valueonly,separator=%x20)';
  const log = git('log', format, `-S${digest}`, ref, '--', releaseFile(service, 'dev'));
  for (const line of log.split('\n').filter(Boolean)) {
    const [commit, ...sources] = line.split(' ');
    // The commit after it has the digest in its changes too: it replaces it.
    if (digestAt(commit, service, 'dev') !== digest) continue;
    const source = sources.find((found) => /^[0-9a-f]{40}$/.test(found));
    if (source && isBefore(source, ref)) return source;
  }
  return undefined;
}

/** Whether the folder of a service differs between two commits. */
export const differs = (service, first, second) =>
  !asksGit('diff', '--quiet', first, second, '--', `services/${service}`);

/**
 * Commits what has changed in the work tree. In a workflow, COMMITTER is the name of the account
 * whose token pushes it.
 */
export function commit(message) {
  const name = process.env.COMMITTER;
  const identity = name
    ? ['-c', `user.name=${name}`, '-c', `user.email=${name}@users.noreply.github.com`]
    : [];
  git(...identity, 'commit', '--quiet', '--all', `--message=${message}`);
}

/** Runs a command of git that asks GitHub: gh gives it the token in GH_TOKEN, if there is one. */
function askRemote(...args) {
  const gh = ['-c', 'credential.helper=', '-c', 'credential.helper=!gh auth git-credential'];
  return git(...(process.env.GH_TOKEN ? gh : []), ...args);
}

/** Gets a branch of the remote; undefined when there is none. */
export function fetchBranch(branch) {
  if (askRemote('ls-remote', 'origin', `refs/heads/${branch}`) === '') return undefined;
  askRemote('fetch', '--quiet', 'origin', `refs/heads/${branch}`);
  return git('rev-parse', 'FETCH_HEAD');
}

/** Pushes HEAD to a branch of the remote. */
export const push = (branch, ...options) =>
  askRemote('push', '--quiet', ...options, 'origin', `HEAD:refs/heads/${branch}`);

/**
 * Goes to the newest main.
 * @throws {Error} when files have been changed here, which would get into the commit.
 */
export function goToMain() {
  if (git('status', '--porcelain', '--untracked-files=no') !== '') {
    throw new Error('there are changes that are not committed; commit or undo them first');
  }
  git('checkout', '--quiet', '--detach', fetchBranch('main'));
}
