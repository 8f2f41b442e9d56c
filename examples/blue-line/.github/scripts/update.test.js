// The template's own tests rehearse updates from its releases; here the parts are tried with a template of a
// few files, and a stand-in for cookiecutter.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { news, toDo } from './lib/template.js';
import { makeRepository } from './testing/repository.js';

const here = import.meta.dirname;
const ANSWERS = { project_slug: 'acme-shop', service_name: 'first' };
const CHANGELOG = `# Changelog

## Unreleased

## 1.1.0 - 2026-12-01

### To do

- Mow the lawn:

  \`\`\`sh
  mow
  \`\`\`

### Added

- Grass.

## 1.0.0 - 2026-11-01

### To do

- Sow.
`;

/** A template with a release, a repository made from it, its remote, and a gh that keeps pull requests. */
function begin(t) {
  const home = mkdtempSync(join(tmpdir(), 'template-'));
  t.after(() => rmSync(home, { recursive: true }));
  const folder = join(home, 'template');
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com'];
  const git = (...args) =>
    execFileSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' }).trim();
  mkdirSync(folder);
  git('init', '--quiet', '--initial-branch=main');
  const release = (version, files) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    git('add', '--all');
    git('commit', '--quiet', `--message=${version}`);
    git('tag', version);
  };
  release('v1.0.0', {
    'cookiecutter.json': JSON.stringify(ANSWERS),
    'CHANGELOG.md': CHANGELOG.replace(/## 1\.1[\s\S]*(?=## 1\.0)/, ''),
    'files/notes.txt': 'one\n',
    'files/other.txt': 'one\n',
  });

  const repository = makeRepository(t);
  const state = { template: folder, commit: git('rev-parse', 'HEAD'), checkout: null };
  const cruft = join(repository.folder, '.cruft.json');
  const context = { cookiecutter: { ...ANSWERS, _template: folder } };
  writeFileSync(cruft, JSON.stringify({ ...state, context, directory: null }));
  for (const name of ['notes.txt', 'other.txt']) {
    writeFileSync(join(repository.folder, name), 'one\n');
  }
  repository.commit('Come from a template');
  const origin = join(home, 'origin.git');
  execFileSync('git', ['clone', '--quiet', '--bare', repository.folder, origin]);
  repository.git('remote', 'add', 'origin', origin);

  const bin = join(home, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'gh'), `#!/bin/sh\nexec node ${join(here, 'testing/gh.js')} "$@"\n`);
  chmodSync(join(bin, 'gh'), 0o755);
  const gh = join(home, 'gh.json');
  writeFileSync(gh, JSON.stringify({ labels: [], issues: [], calls: [] }));
  repository.environment = {
    PATH: `${bin}${delimiter}${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
    COOKIECUTTER: `${process.execPath} ${join(here, 'testing/cookiecutter.js')}`,
    GH_STATE: gh,
    COMMITTER: 'acme-updates[bot]',
    GITHUB_STEP_SUMMARY: join(home, 'summary.md'),
  };
  const output = join(home, 'update');
  return {
    release,
    repository,
    output,
    read: (name) => readFileSync(join(repository.folder, name), 'utf8'),
    plan: (...args) => repository.run('plan-update.js', output, ...args),
    propose: () => repository.run('propose-update.js', output),
    pulls: () => JSON.parse(readFileSync(gh, 'utf8')).pulls ?? [],
    summary: () => readFileSync(join(home, 'summary.md'), 'utf8'),
    onBranch: (path) =>
      execFileSync('git', ['cat-file', 'blob', `update/template:${path}`], {
        cwd: origin,
        encoding: 'utf8',
      }),
  };
}

test('a release becomes one pull request, which a later one changes', (t) => {
  const all = begin(t);
  writeFileSync(join(all.repository.folder, 'other.txt'), 'ours\n');
  all.repository.commit('Change');
  all.repository.git('push', '--quiet', 'origin', 'HEAD:main');
  assert.deepEqual(all.plan().outputs, { changed: false }, 'there is no later release');

  all.release('v1.1.0', {
    'files/notes.txt': 'two\n',
    'files/new.txt': 'new\n',
    'CHANGELOG.md': CHANGELOG,
  });
  const { status, stderr, outputs } = all.plan();
  assert.equal(status, 0, stderr);
  assert.deepEqual(outputs, { changed: true });
  all.repository.git('reset', '--quiet', '--hard');
  const proposed = all.propose();
  assert.equal(proposed.status, 0, proposed.stderr);
  assert.equal(all.onBranch('notes.txt'), 'two\n');
  assert.equal(all.onBranch('new.txt'), 'new\n');
  assert.equal(all.onBranch('other.txt'), 'ours\n');
  const [pull, ...others] = all.pulls();
  assert.deepEqual(others, []);
  assert.equal(pull.title, 'Update from the template to v1.1.0');
  assert.equal(pull.head, 'update/template');
  assert.match(pull.body, /from v1\.0\.0 to v1\.1\.0[\s\S]+Mow the lawn[\s\S]+Grass/);
  assert.doesNotMatch(pull.body, /Sow/);

  all.repository.git('checkout', '--quiet', 'main');
  all.release('v1.2.0', { 'files/notes.txt': 'three\n' });
  all.plan();
  all.repository.git('reset', '--quiet', '--hard');
  assert.equal(all.propose().status, 0);
  assert.deepEqual(
    all.pulls().map(({ title }) => title),
    ['Update from the template to v1.2.0'],
  );
  assert.equal(all.onBranch('notes.txt'), 'three\n');
});

test('what needs a person fails, proposes nothing and tells the command', (t) => {
  const all = begin(t);
  writeFileSync(join(all.repository.folder, 'notes.txt'), 'ours\n');
  all.repository.commit('Change');
  all.release('v1.1.0', { 'files/notes.txt': 'two\n' });
  const { status, stderr, outputs } = all.plan('v1.1.0');
  assert.equal(status, 1);
  assert.match(stderr, /needs a person.*make update TO=v1\.1\.0/);
  assert.match(all.summary(), /notes\.txt/);
  assert.equal(existsSync(join(all.output, 'changes.patch')), false);
  assert.ok(outputs === undefined || outputs.changed === false);
  assert.match(
    all.read('notes.txt'),
    /^<{7} update\/yours\nours\n=+\ntwo\n>{7} update\/template\n$/,
  );
});

test('a repository that knows no template is told so, and nothing fails', (t) => {
  const all = begin(t);
  all.repository.git('rm', '--quiet', '.cruft.json');
  const { status, stdout, outputs } = all.plan();
  assert.equal(status, 0);
  assert.match(stdout, /no \.cruft\.json.*docs\/updates\.md/);
  assert.deepEqual(outputs, { changed: false });
});

test('a patch for another main is not proposed', (t) => {
  const all = begin(t);
  all.release('v1.1.0', { 'files/notes.txt': 'two\n' });
  all.plan();
  all.repository.git('reset', '--quiet', '--hard');
  appendFileSync(join(all.repository.folder, 'notes.txt'), 'more\n');
  all.repository.commit('Move on');
  all.repository.git('push', '--quiet', 'origin', 'HEAD:main');
  const { status, stderr } = all.propose();
  assert.equal(status, 1);
  assert.match(stderr, /main has moved since the merge; run this again/);
  assert.deepEqual(all.pulls(), []);
});

test('the changelog gives what is new, and what is to be done', () => {
  const before = CHANGELOG.replace(/## 1\.1[\s\S]*(?=## 1\.0)/, '');
  const sections = news(before, CHANGELOG);
  assert.equal(sections.length, 1);
  assert.match(sections[0], /^## 1\.1\.0 - /);
  assert.deepEqual(toDo(sections), ['- Mow the lawn:\n\n  ```sh\n  mow\n  ```']);
  const open = CHANGELOG.replace('## Unreleased\n', '## Unreleased\n\n### Added\n\n- Trees.\n');
  assert.deepEqual(news(CHANGELOG, open), ['## Unreleased\n\n### Added\n\n- Trees.']);
  assert.deepEqual(news(open, open), []);
});
