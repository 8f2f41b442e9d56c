// One pull request for each purpose: a second run changes the one that is open.
import { execFileSync } from 'node:child_process';
import { root } from '../../../checks/lib/repository.js';
import { asksGit, fetchBranch, push } from './git.js';

const gh = (...args) =>
  execFileSync('gh', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();

/** Pushes HEAD to a branch and asks to merge it into main. Returns the address of the pull request. */
export function propose(branch, title, body) {
  const there = fetchBranch(branch);
  if (there && asksGit('diff', '--quiet', there, 'HEAD'))
    console.log(`${branch} holds this already`);
  else push(branch, '--force');

  const fields = ['--title', title, '--body', body];
  const list = ['--head', branch, '--base', 'main', '--state', 'open', '--json', 'url'];
  const open = gh('pr', 'list', ...list, '--jq', '.[].url');
  if (open === '') return gh('pr', 'create', '--head', branch, '--base', 'main', ...fields);
  gh('pr', 'edit', open, ...fields);
  return open;
}
