// Opens the pull request of an update from the template, or changes the one that is open.
// Usage: propose-update.js FOLDER
// FOLDER is what plan-update.js wrote. Nothing in it is run.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { command } from '../../checks/lib/repository.js';
import { summarize } from './lib/actions.js';
import { commit, git, goToMain } from './lib/git.js';
import { propose } from './lib/pull-request.js';

function main() {
  const [folder] = process.argv.slice(2);
  if (!folder) throw new Error('usage: propose-update.js FOLDER');
  const [title, body] = ['title.txt', 'body.md'].map((name) =>
    readFileSync(join(folder, name), 'utf8').trim(),
  );
  goToMain();
  try {
    git('apply', '--index', '--whitespace=nowarn', resolve(folder, 'changes.patch'));
  } catch (error) {
    throw new Error(`main has moved since the merge; run this again\n${error.message}`);
  }
  commit(title);
  summarize(propose('update/template', title, body));
}

command(main);
