// Merges the template's changes for the pull request that propose-update.js opens. What the template runs as
// it is made runs here, so this job has no credential, and hands on a patch and texts.
// Usage: plan-update.js FOLDER [REF]
// Sets the output `changed` if there is something to propose.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { command, root } from '../../checks/lib/repository.js';
import { output, summarize, warn } from './lib/actions.js';
import { git } from './lib/git.js';

function main() {
  const [folder, to] = process.argv.slice(2);
  if (!folder) throw new Error('usage: plan-update.js FOLDER [REF]');
  output('changed', false);
  if (!existsSync(join(root, '.cruft.json'))) {
    warn('There is no .cruft.json, so nothing is known of the template: docs/updates.md');
    return;
  }
  mkdirSync(folder, { recursive: true });
  const script = join(import.meta.dirname, 'update.js');
  const args = [script, `--report=${resolve(folder)}`, ...(to ? [`--to=${to}`] : [])];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  const report = join(folder, 'body.md');
  if (existsSync(report)) summarize(readFileSync(report, 'utf8'));
  if (status === 2) {
    throw new Error(
      `Some of it needs a person, so there is no pull request. On a branch: make update${to ? ` TO=${to}` : ''}`,
    );
  }
  if (status !== 0) throw new Error('The template could not be merged');
  const patch = git('diff', '--cached', '--binary', '--full-index', 'HEAD');
  if (patch === '') return;
  writeFileSync(join(folder, 'changes.patch'), `${patch}\n`);
  output('changed', true);
  warn('There is an update of the template: see the page of this run, or make update');
}

command(main);
