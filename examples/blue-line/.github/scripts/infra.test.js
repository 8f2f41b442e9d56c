// From the plan to the apply, with testing/terraform.js in the place of Terraform.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { mask } from './lib/terraform.js';
import { makeRepository } from './testing/repository.js';

const OWN = '111122223333';
const TEXT = `  + resource "aws_iam_role" "this" {
      + arn = "arn:aws:iam::${OWN}:role/shop"
      + who = "arn:aws:iam::444455556666:root"
    }

Plan: 1 to add, 0 to change, 0 to destroy.`;

const repository = makeRepository({ after });
const { folder } = repository;
const at = (file) => join(folder, file);

mkdirSync(at('bin'));
const script = at('.github/scripts/testing/terraform.js');
const program = `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`;
writeFileSync(at('bin/terraform'), program, { mode: 0o755 });
for (const own of ['dev', 'staging'])
  writeFileSync(at(`infra/envs/${own}/.terraform.lock.hcl`), '');

/** What Terraform says from now on. */
const says = (what) =>
  writeFileSync(at('terraform.json'), JSON.stringify({ plan: TEXT, calls: [], ...what }));
const calls = () => JSON.parse(readFileSync(at('terraform.json'), 'utf8')).calls;
const commands = () => calls().map((call) => call.split(' ')[0]);
const summary = () => readFileSync(at('summary.md'), 'utf8');

beforeEach(() => {
  for (const left of ['plans', 'summary.md']) rmSync(at(left), { recursive: true, force: true });
  says({});
  repository.environment = {
    PATH: `${at('bin')}${delimiter}${process.env.PATH}`,
    TERRAFORM_STATE: at('terraform.json'),
    GITHUB_ACTIONS: 'true',
    GITHUB_STEP_SUMMARY: at('summary.md'),
    ROLE_ARN: `arn:aws:iam::${OWN}:role/shop-dev-plan`,
    TF_STATE_BUCKET: `shop-state-${OWN}`,
    TF_STATE_KMS_KEY_ARN: `arn:aws:kms:eu-west-1:${OWN}:key/state`,
  };
});

const plan = (own = 'dev') => repository.run('plan-infra.js', own, `plans/plan-${own}`);

/** What the job of a plan hands on. */
const handedOn = (own = 'dev') =>
  JSON.parse(readFileSync(at(`plans/plan-${own}/plan.json`), 'utf8'));

test('a plan reads and locks nothing, and says what it would do without our account', () => {
  const { status, stdout, stderr } = plan();
  assert.equal(status, 0, stderr);
  const [init, planned] = calls();
  assert.match(init, /-lockfile=readonly/);
  assert.match(init, new RegExp(`-backend-config=bucket=shop-state-${OWN}`));
  assert.match(planned, /-lock=false/);
  const { status: is, changes, digest, text } = handedOn();
  assert.deepEqual([is, changes], ['planned', true]);
  assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  for (const said of [stdout, text, summary()]) {
    assert.ok(!said.includes(OWN), said);
    assert.match(said, /arn:aws:iam::ACCOUNT:role\/shop/);
    assert.match(said, /arn:aws:iam::OTHER-ACCOUNT-1:root/, 'it must be seen that it is another');
  }
});

test('what was planned is not kept', () => {
  plan();
  const out = /-out=(\S+)/.exec(calls()[1])[1];
  assert.ok(!existsSync(out));
});

test('what fails is told without our account, and is red', () => {
  const message = `Error: no access to arn:aws:s3:::shop-state-${OWN}`;
  says({ fails: { command: 'init', message } });
  const { status, stdout, stderr } = plan();
  assert.equal(status, 1);
  assert.match(
    stderr,
    /terraform init ended with 1\nError: no access to arn:aws:s3:::shop-state-ACCOUNT/,
  );
  assert.ok(!(stdout + stderr).includes(OWN));
  assert.equal(handedOn().status, 'failed');
});

test('without a role nothing is planned, loudly', () => {
  repository.environment.ROLE_ARN = '';
  const { status, stdout } = plan();
  assert.equal(status, 0);
  assert.match(stdout, /^::warning::dev is not planned: .*plan-dev .* no variable AWS_ROLE_ARN/m);
  assert.equal(handedOn().status, 'unconfigured');
  assert.deepEqual(calls(), []);
});

test('an environment that nobody has made yet is not planned, and what to do is said', () => {
  const { status, stdout, stderr } = plan('production');
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /^::warning::production is not planned: .*no infra\/envs\/production\/\.terraform\.lock\.hcl.*`make infra-plan ENV=production`.*docs\/infra\.md/m,
  );
  assert.match(summary(), /nobody has locked its providers.*docs\/infra\.md/);
  assert.equal(handedOn('production').status, 'unlocked');
  assert.deepEqual(calls(), []);
});

test('without a lock nothing is applied', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const { status, stderr } = repository.run('apply-infra.js', 'production', digest);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /production\/\.terraform\.lock\.hcl is missing: `make infra-plan ENV=production`/,
  );
  assert.deepEqual(calls(), []);
});

/** Plans dev and staging, and returns what is to be approved. */
function collect() {
  plan();
  repository.environment.ENVIRONMENTS = '["dev","staging"]';
  return repository.run('collect-plans.js', 'plans');
}

test('what changes something is to be approved, by its digest, and nothing else', () => {
  says({ plan: '' });
  plan('staging');
  says({});
  const { outputs } = collect();
  const { digest } = handedOn();
  assert.deepEqual(outputs.changes, [{ environment: 'dev', digest }]);
});

test('dev is applied while others are not made yet', () => {
  plan('production');
  repository.environment.ENVIRONMENTS = '["dev","production"]';
  plan();
  const { status, stderr, outputs } = repository.run('collect-plans.js', 'plans');
  assert.equal(status, 0, stderr);
  assert.deepEqual(outputs.changes, [{ environment: 'dev', digest: handedOn().digest }]);
});

test('an environment without a role is left out; one that was not planned ends it', () => {
  repository.environment.ROLE_ARN = '';
  plan('staging');
  repository.environment.ROLE_ARN = `arn:aws:iam::${OWN}:role/shop-dev-plan`;
  assert.equal(collect().outputs.changes.length, 1);
  for (const content of [{ status: 'failed' }, { status: 'planned', changes: true }, {}]) {
    writeFileSync(
      join(folder, 'plans/plan-staging/plan.json'),
      JSON.stringify({ environment: 'staging', ...content }),
    );
    const { status, stderr, outputs } = collect();
    assert.equal(status, 1);
    assert.match(stderr, /staging was not planned/);
    assert.deepEqual(outputs, {});
  }
});

const apply = (digest) => repository.run('apply-infra.js', 'dev', digest);

test('what was approved is applied, from a plan of its own', () => {
  plan();
  const { digest } = handedOn();
  says({});
  const { status, stderr } = apply(digest);
  assert.equal(status, 0, stderr);
  assert.deepEqual(commands(), ['init', 'plan', 'show', 'apply']);
  assert.doesNotMatch(calls()[1], /-lock=false/);
});

for (const [what, before, now, shown] of [
  ['another name', 'role/shop', 'role/other', /role\/other/],
  // It looks the same where accounts are masked.
  ['another account', '444455556666', '777788889999', /OTHER-ACCOUNT-1/],
]) {
  test(`${what} than was approved is not applied`, () => {
    plan();
    const { digest } = handedOn();
    says({ plan: TEXT.replace(before, now) });
    const { status, stdout, stderr } = apply(digest);
    assert.equal(status, 1);
    assert.match(stderr, /dev was not changed: it would be something else than what was approved/);
    assert.match(stdout, shown);
    assert.deepEqual(commands(), ['init', 'plan', 'show']);
  });
}

test('what somebody has applied meanwhile is done', () => {
  plan();
  const { digest } = handedOn();
  says({ plan: '' });
  assert.equal(apply(digest).status, 0);
  assert.deepEqual(commands(), ['init', 'plan', 'show']);
  assert.match(summary(), /dev: nothing is left to change/);
});

test('without a role nothing is applied, loudly', () => {
  repository.environment.ROLE_ARN = '';
  const { status, stdout } = apply(`sha256:${'a'.repeat(64)}`);
  assert.equal(status, 0);
  assert.match(stdout, /^::warning::dev is not changed: .*make infra-plan infra-apply ENV=dev/m);
});

test('a failed apply is red', () => {
  plan();
  const { digest } = handedOn();
  says({ fails: { command: 'apply', message: 'Error: it is in use' } });
  const { status, stderr } = apply(digest);
  assert.equal(status, 1);
  assert.match(stderr, /it is in use[\s\S]*terraform apply ended with 1/);
});

test('accounts are masked wherever they stand, and other numbers are not', () => {
  const text = '444455556666 1111222233334 111122223333 x444455556666x 777788889999 2026';
  assert.equal(
    mask(text, OWN),
    'OTHER-ACCOUNT-1 1111222233334 ACCOUNT xOTHER-ACCOUNT-1x OTHER-ACCOUNT-2 2026',
  );
});
