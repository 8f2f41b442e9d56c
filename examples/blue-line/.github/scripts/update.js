// Merges what changed in the template into this repository: what the template made of your answers then, what
// it makes of them now, and what you have are merged by git. docs/updates.md tells more.
// Usage: update.js [--to REF] [--set ANSWER=VALUE]... [--report FOLDER]
// REF is a release, a branch or a commit of the template; without it the newest release is taken. Works on
// the repository of the current folder. The environment variable COOKIECUTTER names another program to
// make repositories with. With --report, a title and a text for a pull request are written into FOLDER.
// Exit code 0: merged, or nothing to do. 1: nothing was done. 2: merged, but for the files that are listed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  belongsTo,
  checkOut,
  dropDeleted,
  isLock,
  leaveToOwner,
  markUnsettled,
  merge,
  Objects,
  servicesIn,
  settlePins,
  withoutStrangers,
} from './lib/merge.js';
import { answersIn, bake, gitIn, inParallel, news, Template, toDo } from './lib/template.js';

const STATE = '.cruft.json';
const YOURS = '.github/yours.txt';
// The first with `git merge-tree --write-tree`.
const OLDEST_GIT = [2, 38];
const NPM = ['install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund'];
// GitHub takes no more than 65,536 characters.
const LONGEST_TEXT = 60_000;

/** The folder of the repository that is updated. */
async function findRepository() {
  const [major, minor] = /(\d+)\.(\d+)/
    .exec(await gitIn('.', ['--version']))
    .slice(1)
    .map(Number);
  if (major < OLDEST_GIT[0] || (major === OLDEST_GIT[0] && minor < OLDEST_GIT[1]))
    throw new Error(`git is ${major}.${minor}; install ${OLDEST_GIT.join('.')} or later`);
  try {
    const root = await gitIn('.', ['rev-parse', '--show-toplevel']);
    await gitIn(root, ['rev-parse', '--quiet', '--verify', 'HEAD']);
    return root;
  } catch {
    throw new Error('There is no commit to merge into: run git init, git add . and git commit');
  }
}

/** What cruft wrote when it made the repository. */
async function readState(root) {
  const file = join(root, STATE);
  if (!existsSync(file)) {
    throw new Error(
      `There is no ${STATE}, which says of which state of the template this was made. Write it once, and commit it:\n` +
        "  pipx run cruft link TEMPLATE --checkout REF\nwith the template's address, and the release or commit that was used. Give the answers of then.",
    );
  }
  const dirty = await gitIn(root, ['status', '--porcelain', '--untracked-files=no']);
  if (dirty !== '')
    throw new Error(`Commit or undo this first, as an update is to be seen by itself:\n${dirty}`);
  if ((await gitIn(root, ['ls-files', '--', STATE])) === '')
    throw new Error(`Commit ${STATE} first`);
  const state = JSON.parse(readFileSync(file, 'utf8'));
  if (!state.template || !state.commit || !state.context?.cookiecutter)
    throw new Error(`${STATE} lacks its template, commit or context: cruft has not written it`);
  return state;
}

/** The commit of the template to go to: the one that is asked for, or the newest release. */
async function findTarget(template, state, asked) {
  const releases = await template.releases();
  if (asked) {
    const commit = await template.commit(asked);
    if (commit) return commit;
    const known = releases.join(', ') || 'none yet';
    throw new Error(`The template has no ${asked}. Its releases: ${known}`);
  }
  if (releases.length === 0) {
    console.log('The template has no release yet; its newest commit is taken.');
    return template.commit('HEAD');
  }
  const newest = await template.commit(releases[0]);
  return (await template.isBefore(newest, state.commit)) ? state.commit : newest;
}

/**
 * What the template makes of the answers, with the other services that you have: each is what it would be if
 * it had been the first one.
 */
async function make(objects, template, answers, ours, folder) {
  mkdirSync(folder);
  const first = answers.service_name;
  const names = [first, ...servicesIn(ours).filter((name) => name !== first)];
  const [{ context, files }, ...others] = await inParallel(names, async (service) => {
    try {
      const made = await bake(
        template,
        { ...answers, service_name: service },
        join(folder, service),
      );
      return { service, context: made.context, files: await objects.filesIn(made.folder) };
    } catch (error) {
      if (service === first) throw error;
      // What is no service of the template's may have a name that it refuses.
      return { service, files: new Map() };
    }
  });
  for (const other of others) {
    for (const [path, entry] of other.files) {
      if (belongsTo(other.service)(path)) files.set(path, entry);
    }
  }
  return { context, files };
}

/** Lets npm write lockfiles anew that both have changed. Returns those that it could not. */
function renewLocks(root, locks, unsettled) {
  return locks.filter((lock) => {
    const folder = dirname(lock);
    if (unsettled.has(join(folder, 'package.json'))) return true;
    const options = { cwd: join(root, folder), stdio: 'ignore' };
    return spawnSync('npm', NPM, options).status !== 0;
  });
}

// ---------------------------------------------------------------------------- what is said

const remedy = (path) =>
  isLock(path)
    ? `yours is kept; in ${dirname(path)}: npm ${NPM.slice(0, 3).join(' ')}`
    : 'git diff shows both';

const partsOf = ({ unsettled, yours, gone, questions, tasks }) =>
  [
    ['To settle by hand, as you and the template changed the same', unsettled],
    [
      'Left as they are, as they are yours (.github/yours.txt); the template changed its own',
      yours,
    ],
    ['Left out, as you have deleted the file or its folder', gone],
    ['New questions, answered by their default', questions],
    ['To do, says the template', tasks],
  ].filter(([, lines]) => lines.length > 0);

function writeReport(folder, parts, { from, to, sections }) {
  mkdirSync(folder, { recursive: true });
  const item = (line) => (line.startsWith('- ') ? line : `- ${line}`);
  const text = [
    `What changed in the template from ${from} to ${to}, merged with what you have changed.`,
    ...parts.map(([title, lines]) => `## ${title}\n\n${lines.map(item).join('\n')}`),
    ...(sections.length > 0 ? ['# What changed', ...sections] : []),
  ].join('\n\n');
  writeFileSync(join(folder, 'title.txt'), `Update from the template to ${to}\n`);
  writeFileSync(join(folder, 'body.md'), `${text.slice(0, LONGEST_TEXT)}\n`);
}

// ---------------------------------------------------------------------------- all of it

async function update({ to, set = [], report }, temporary) {
  const place = (name) => join(temporary, name);
  const root = await findRepository();
  const state = await readState(root);
  const template = await Template.get(state.template, place('template'));
  if (!(await template.commit(state.commit))) {
    throw new Error(
      `${state.template} has no commit ${state.commit} (${STATE}): its history was written anew, or it is another template`,
    );
  }
  const commit = await findTarget(template, state, to);
  const [from, name] = await Promise.all([state.commit, commit].map((one) => template.nameOf(one)));
  if (commit === state.commit && set.length === 0) {
    console.log(`Nothing to do: this is as of ${from}, and there is no later release.`);
    return 0;
  }
  console.log(`From ${from} to ${name} of ${state.template}`);

  const [then, now] = [
    await template.at(state.commit, place('then')),
    await template.at(commit, place('now')),
  ];
  const answers = answersIn(state.context.cookiecutter);
  const changed = Object.fromEntries(set.map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const questions = Object.keys(
    answersIn(JSON.parse(readFileSync(join(now, 'cookiecutter.json'), 'utf8'))),
  );
  const unknown = Object.keys(changed).filter((key) => !questions.includes(key));
  if (unknown.length > 0)
    throw new Error(`There is no question ${unknown.join(', ')}, but ${questions.join(', ')}`);

  const objects = new Objects(root, temporary);
  const ours = await objects.filesOf('HEAD');
  const refused = (which) => (error) => {
    throw new Error(
      `The template as of ${which} does not take these answers:\n${error.message}\nGive another one: make update SET=ANSWER=VALUE`,
    );
  };
  const before = await make(objects, then, answers, ours, place('made-then')).catch(refused(from));
  const after = await make(objects, now, { ...answers, ...changed }, ours, place('made-now')).catch(
    refused(name),
  );
  const trees = { before: before.files, after: after.files, ours };
  withoutStrangers(trees);
  const lists = existsSync(join(root, YOURS)) ? readFileSync(join(root, YOURS), 'utf8') : '';
  const patterns = lists
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(/\s/)[0]);
  const wanted = new Map(trees.after);
  const left = leaveToOwner(trees, patterns, state.skip ?? []);
  await settlePins(objects, trees);
  const result = await merge(objects, trees.before, trees.after);
  const deleted = dropDeleted(result);

  const { _output_dir, _repo_dir, _checkout, ...context } = after.context;
  const next = {
    ...state,
    commit,
    checkout: to ?? null,
    context: { cookiecutter: { ...context, _template: state.template, _commit: commit } },
  };
  const text = `${JSON.stringify(next, null, 2)}\n`;
  result.files.set(STATE, `100644 ${await objects.write(text)}`);
  await checkOut(objects, result.files);
  const failed = renewLocks(root, left.locks, result.stages);
  const renewed = left.locks.filter((lock) => !failed.includes(lock));
  if (renewed.length > 0) await objects.git(['add', '--', ...renewed]);
  for (const lock of failed) {
    const stages = [before.files, ours, wanted].map((files) => files.get(lock));
    result.stages.set(lock, Object.fromEntries(stages.map((entry, index) => [index + 1, entry])));
  }
  await markUnsettled(objects, result.stages);

  const sections = news(await template.changelog(state.commit), await template.changelog(commit));
  const unsettled = [...result.stages.keys()].sort();
  const parts = partsOf({
    unsettled: unsettled.map((path) => `${path}: ${remedy(path)}`),
    yours: left.yours,
    gone: [...left.gone, ...deleted].sort(),
    questions: questions
      .filter((key) => !(key in answers) && !(key in changed))
      .map((key) => `${key}: ${context[key]}`),
    tasks: toDo(sections),
  });
  for (const [title, lines] of parts)
    console.log(`\n${title}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
  if (report) writeReport(report, parts, { from, to: name, sections });
  if (unsettled.length > 0) {
    console.log(
      '\nNot whole yet: settle what is listed, git add it, make setup check, and commit. To give up: git reset --hard',
    );
    return 2;
  }
  console.log('\nMerged, and not committed: git diff --cached, make setup check, and commit.');
  return 0;
}

async function main() {
  const text = { type: 'string' };
  const options = { to: text, set: { type: 'string', multiple: true }, report: text };
  const temporary = mkdtempSync(join(tmpdir(), 'update-'));
  process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  try {
    process.exitCode = await update(parseArgs({ options }).values, temporary);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
