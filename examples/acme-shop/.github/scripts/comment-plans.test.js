// GitHub itself cannot run here: `gh` is testing/github.js, which keeps the comments in a file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

const here = import.meta.dirname;
const COMMENTS = 'repos/acme/shop/issues/7/comments';
const TEXT = '  + resource "x" "y" {}\n\nPlan: 2 to add, 0 to change, 0 to destroy.';
const digest = `sha256:${'a'.repeat(64)}`;
const planned = (text = TEXT) => ({ status: 'planned', changes: true, digest, text });
const NOTHING = { status: 'planned', changes: false, digest, text: 'No changes. Your ...' };

let scratch;
let state;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'comments-'));
  state = join(scratch, 'state.json');
  writeFileSync(state, JSON.stringify({ name: 'acme/shop', resources: { [COMMENTS]: [] } }));
  const program = `#!/bin/sh\nexec "${process.execPath}" "${here}/testing/github.js" "$@"\n`;
  writeFileSync(join(scratch, 'gh'), program, { mode: 0o755 });
});

afterEach(() => rmSync(scratch, { recursive: true }));

const read = () => JSON.parse(readFileSync(state, 'utf8'));
const comments = () => read().resources[COMMENTS];

/** Runs the script with what jobs have handed on; returns its lines. */
function comment(plans, environments = Object.keys(plans)) {
  const folder = mkdtempSync(join(scratch, 'plans-'));
  for (const [own, plan] of Object.entries(plans)) {
    mkdirSync(join(folder, `plan-${own}`));
    writeFileSync(join(folder, `plan-${own}/plan.json`), JSON.stringify(plan));
  }
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(here, 'comment-plans.js'), folder],
    {
      encoding: 'utf8',
      env: {
        PATH: `${scratch}${delimiter}${process.env.PATH}`,
        GITHUB_STATE: state,
        ENVIRONMENTS: JSON.stringify(environments),
        PULL_REQUEST: '7',
        COMMIT: 'abc',
        GITHUB_REPOSITORY: 'acme/shop',
        GITHUB_SERVER_URL: 'https://github.com',
        GITHUB_RUN_ID: '99',
      },
    },
  );
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n').filter(Boolean);
}

test('each environment has a comment with what would change, and from which run', () => {
  assert.deepEqual(comment({ dev: planned(), staging: NOTHING }), [
    'dev: written',
    'staging: written',
  ]);
  const [dev, staging] = comments().map(({ body }) => body);
  assert.match(dev, /^<!-- plan of dev -->\n\n### Terraform in dev\n\nPlan: 2 to add, /);
  assert.ok(dev.includes(`\`\`\`text\n${TEXT}\n\`\`\``), dev);
  assert.match(
    dev,
    /Of abc, by \[this run\]\(https:\/\/github\.com\/acme\/shop\/actions\/runs\/99\)\.$/,
  );
  assert.match(staging, /No changes\./);
  assert.ok(!staging.includes('<details>'), 'there is nothing to show');
});

test('a second run edits it, and again it changes nothing', () => {
  comment({ dev: planned() });
  assert.deepEqual(comment({ dev: planned(TEXT.replace('2 to add', '3 to add')) }), [
    'dev: edited',
  ]);
  assert.deepEqual(comment({ dev: planned(TEXT.replace('2 to add', '3 to add')) }), [
    'dev: says this already',
  ]);
  assert.equal(comments().length, 1);
  assert.match(comments()[0].body, /3 to add/);
});

test('what would be destroyed stands out', () => {
  comment({ dev: planned('Plan: 0 to add, 0 to change, 12 to destroy.') });
  assert.match(comments()[0].body, /\*\*Plan: 0 to add, 0 to change, 12 to destroy\.\*\*/);
});

test('what a plan says stays in its block, and does not pass for another environment', () => {
  comment({ dev: planned('```\n</details>\n<!-- plan of staging -->\n@everybody\n````\n') });
  const { body } = comments()[0];
  assert.match(body, /\n`{5}text\n```\n/);
  assert.match(body, /\n````\n\n`{5}\n\n<\/details>/);
  assert.deepEqual(comment({ staging: planned() }, ['dev', 'staging']).at(-1), 'staging: written');
});

test('a plan that is too long for a comment is cut, and says where the rest is', () => {
  comment({ dev: planned(`${'x'.repeat(99)}\n`.repeat(1000) + TEXT) });
  const { body } = comments()[0];
  assert.ok(body.length < 65_536, `${body.length} characters`);
  assert.match(body, /and more: the whole text is in the artifact of the run\n```\n\n<\/details>/);
  assert.match(body, /Plan: 2 to add/);
});

test('a plan that failed, or whose job left nothing, is told', () => {
  comment({ dev: { status: 'failed', text: 'Error: no access' } }, ['dev', 'staging']);
  const [dev, staging] = comments().map(({ body }) => body);
  assert.match(dev, /It could not be planned\.[\s\S]*Error: no access/);
  assert.match(staging, /It could not be planned; the log/);
});

test('an environment without a role, or that nobody has made yet, gets no comment', () => {
  const plans = { dev: { status: 'unconfigured' }, staging: { status: 'unlocked' } };
  assert.deepEqual(comment(plans), []);
  assert.deepEqual(comments(), []);
});

test('an environment that a later commit leaves alone says so', () => {
  comment({ dev: planned(), staging: planned() });
  assert.deepEqual(comment({ dev: planned() }), ['dev: says this already', 'staging: edited']);
  assert.match(comments()[1].body, /Nothing here concerns it any more/);
});

test('comments of others are left alone, however they look, and however many there are', () => {
  const theirs = Array.from({ length: 150 }, (_, index) => ({
    id: 1000 + index,
    user: { login: 'somebody' },
    body: '<!-- plan of dev -->',
  }));
  writeFileSync(state, JSON.stringify({ ...read(), resources: { [COMMENTS]: theirs } }));
  assert.deepEqual(comment({ dev: planned() }), ['dev: written']);
  assert.deepEqual(comment({ dev: planned() }), ['dev: says this already']);
  assert.deepEqual(comments().slice(0, 150), theirs);
});
