// GitHub itself cannot run here: testing/github.js stands in for it. That GitHub takes these requests,
// only a run against it shows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { environments, factsOf } from '../../checks/lib/facts.js';
import { setUp } from './github-setup.js';
import { GitHub } from './testing/github.js';

const here = import.meta.dirname;
const { gitRepository } = factsOf(environments[0]);
const [, NAME] = /([^/]+\/[^/]+)\.git$/.exec(gitRepository);
const AT = `repos/${NAME}`;
const APP = { GITOPS_APP: 'acme-gitops' };

let github;

beforeEach(() => {
  github = new GitHub({ name: NAME });
});

const there = (path) => github.resources[path === '' ? AT : `${AT}/${path}`];

/** Runs it, and returns its lines and what is left to do; `failing` lists what must hold and does not. */
function setup(apply, environment = {}, failing = [], bootstrap = undefined, tfvars = undefined) {
  const lines = [];
  const { todo, failures } = setUp({
    api: (...request) => github.request(...request),
    origin: gitRepository,
    environment,
    bootstrap,
    tfvars,
    apply,
    say: (line) => lines.push(line),
  });
  assert.deepEqual(failures, failing);
  return [...lines, ...todo].join('\n');
}

const plan = (environment) => setup(false, environment);
const apply = (environment, failing, bootstrap) => setup(true, environment, failing, bootstrap);

/** What make bootstrap-aws writes. */
const roleOf = (name) => `arn:aws:iam::111122223333:role/acme-shop-${name}`;
const inEach = (make) =>
  Object.fromEntries(
    environments.flatMap((own) => ['plan', 'apply'].map((kind) => make(`${kind}-${own}`))),
  );
const BOOTSTRAP = {
  environments: inEach((name) => [
    name,
    { AWS_ROLE_ARN: roleOf(name), TF_STATE_BUCKET: 'state', TF_STATE_KMS_KEY_ARN: 'arn:key' },
  ]),
};
const reviewersOf = (name) =>
  there(`environments/${name}`).protection_rules.find(({ type }) => type === 'required_reviewers')
    ?.reviewers;

test('without --apply nothing is changed, and each change is a line with what, from and to', () => {
  const output = plan();
  assert.deepEqual(github.calls, []);
  for (const line of [
    'would change  repository: allow_merge_commit: true -> false',
    'would change  actions: sha_pinning_required: false -> true',
    'would change  token of workflows: default_workflow_permissions: write -> read',
    'would change  Dependabot alerts: enabled: false -> true',
    'would change  environment release: branches: none -> main',
    'would change  environment dev-deploy: branches: none -> main',
    'would change  environment plan-dev: branches: none -> all',
    'would change  environment apply-dev: branches: none -> main',
    'would change  environment apply-dev: reviewers: none -> User 12',
    'would change  ruleset main: pull_request: require_code_owner_review: none -> true',
    'would change  ruleset main: required_status_checks: required_status_checks: none -> ci of App 15368',
  ]) {
    assert.ok(output.includes(line), `it does not say ${line}:\n${output}`);
  }
});

for (const [mode, environment] of [
  ['an App', APP],
  ['no App', {}],
]) {
  test(`with ${mode}, a second run finds nothing to change`, () => {
    const announced = plan(environment);
    const done = apply(environment);
    const lines = (text) => [...text.matchAll(/^ {2}(?:would change|changed +) {2}(.*)$/gm)];
    assert.deepEqual(
      lines(done).map(([, line]) => line),
      lines(announced).map(([, line]) => line),
      'it does other things than it said',
    );
    const { length } = github.calls;
    assert.ok(length > 10);
    assert.deepEqual(lines(apply(environment)), []);
    // The App is known from then on.
    assert.deepEqual(lines(apply()), []);
    assert.equal(github.calls.length, length);
  });
}

test('only squashed pull requests with a review and the check ci get into main', () => {
  apply();
  const [{ id }] = there('rulesets');
  const { rules, bypass_actors, enforcement, conditions } = there(`rulesets/${id}`);
  assert.equal(enforcement, 'active');
  assert.deepEqual(conditions.ref_name.include, ['~DEFAULT_BRANCH']);
  assert.deepEqual(bypass_actors, []);
  assert.deepEqual(rules.map(({ type }) => type).sort(), [
    'deletion',
    'non_fast_forward',
    'pull_request',
    'required_linear_history',
    'required_status_checks',
  ]);
});

test('the App may bypass the rules, gets its variable, and workflows approve nothing', () => {
  const output = apply(APP);
  const [{ id }] = there('rulesets');
  assert.deepEqual(there(`rulesets/${id}`).bypass_actors, [
    { actor_type: 'Integration', actor_id: 4711, bypass_mode: 'always' },
  ]);
  assert.equal(there('actions/variables/GITOPS_APP_CLIENT_ID').value, 'Iv23liEXAMPLE');
  assert.equal(there('actions/permissions/workflow').can_approve_pull_request_reviews, false);
  assert.match(
    output,
    /GITOPS_APP_PRIVATE_KEY is missing in environment dev-deploy: gh secret set/,
  );
  assert.doesNotMatch(output, /no GitHub App:/);
  assert.match(output, /no GitHub App for updates: .* workflows: write/);
  assert.equal(there('actions/variables/UPDATE_APP_CLIENT_ID'), undefined);
});

test('without an App workflows may open pull requests, and what that means is said', () => {
  const output = apply();
  assert.equal(there('actions/permissions/workflow').can_approve_pull_request_reviews, true);
  assert.match(output, /no GitHub App: .* contents: write, pull_requests: write/);
  assert.equal(there('actions/variables/GITOPS_APP_CLIENT_ID'), undefined);
});

test('the App of updates may not bypass the rules, and may change workflows', () => {
  const both = { ...APP, UPDATE_APP: 'acme-updates' };
  github.resources['apps/acme-updates'] = {
    id: 4712,
    client_id: 'Iv23liUPDATES',
    permissions: { metadata: 'read', contents: 'write', pull_requests: 'write' },
  };
  const output = apply(both);
  const [{ id }] = there('rulesets');
  assert.deepEqual(
    there(`rulesets/${id}`).bypass_actors.map((entry) => entry.actor_id),
    [4711],
  );
  assert.equal(there('actions/variables/UPDATE_APP_CLIENT_ID').value, 'Iv23liUPDATES');
  assert.match(output, /App acme-updates: workflows: it has none, and needs write/);
  assert.match(output, /UPDATE_APP_PRIVATE_KEY is missing in environment update/);
  assert.doesNotMatch(output, /App acme-gitops: workflows/);
});

test('nobody else bypasses the rules for long, and other rules of people stay', () => {
  apply(APP);
  const [{ id }] = there('rulesets');
  const ruleset = github.resources[`${AT}/rulesets/${id}`];
  ruleset.bypass_actors.push({
    actor_type: 'RepositoryRole',
    actor_id: 5,
    bypass_mode: 'always',
  });
  ruleset.rules.push({ type: 'required_signatures' });
  ruleset.rules = ruleset.rules.filter(({ type }) => type !== 'deletion');
  const output = apply();
  assert.match(
    output,
    /may bypass: Integration 4711 always, RepositoryRole 5 always -> Integration 4711 always/,
  );
  assert.match(output, /deletion: none -> on/);
  const { rules, bypass_actors } = there(`rulesets/${id}`);
  assert.equal(bypass_actors.length, 1);
  assert.ok(rules.some(({ type }) => type === 'required_signatures'));
});

test('an App that is used and may not bypass the rules fails, as releases would', () => {
  const output = apply({ GITOPS_APP_CLIENT_ID: 'Iv23liEXAMPLE' }, ['ruleset main: may bypass']);
  assert.match(output, /Say GITOPS_APP=NAME/);
});

test('an App that may do more than it needs is told', () => {
  github.resources['apps/acme-gitops'].permissions = {
    metadata: 'read',
    contents: 'write',
    actions: 'write',
  };
  const output = plan(APP);
  assert.match(output, /actions: it has write, and needs none/);
  assert.match(output, /pull_requests: it has none, and needs write/);
});

test('an environment keeps its reviewers, and loses every branch but main', () => {
  const path = `${AT}/environments/release`;
  github.resources[path] = {
    protection_rules: [
      { type: 'wait_timer', wait_timer: 30 },
      {
        type: 'required_reviewers',
        prevent_self_review: true,
        reviewers: [{ type: 'Team', reviewer: { id: 7 } }],
      },
    ],
    deployment_branch_policy: { protected_branches: false, custom_branch_policies: true },
  };
  github.resources[`${path}/deployment-branch-policies`] = {
    branch_policies: [
      { id: 91, name: 'hotfix/*', type: 'branch' },
      { id: 92, name: 'main', type: 'tag' },
    ],
  };
  assert.match(apply(), /environment release: branches: branch hotfix\/\*, tag main -> main/);
  const policies = there('environments/release/deployment-branch-policies').branch_policies;
  assert.deepEqual(
    policies.map(({ name, type }) => [name, type]),
    [['main', 'branch']],
  );
  const [timer, review] = there('environments/release').protection_rules;
  assert.equal(timer.wait_timer, 30);
  assert.equal(review.prevent_self_review, true);
  assert.deepEqual(review.reviewers, [{ type: 'Team', reviewer: { id: 7 } }]);
});

test('plans run on every branch; what is applied waits, on main, and both get their roles', () => {
  assert.match(plan(), /apply-dev, .*: no role, so Terraform does not run there/);
  apply({}, [], BOOTSTRAP);
  const [own] = environments;
  assert.equal(there(`environments/plan-${own}`).deployment_branch_policy, null);
  assert.equal(reviewersOf(`plan-${own}`), undefined);
  const { branch_policies: branches } = there(
    `environments/apply-${own}/deployment-branch-policies`,
  );
  assert.deepEqual(
    branches.map(({ name }) => name),
    ['main'],
  );
  assert.deepEqual(reviewersOf(`apply-${own}`), [{ type: 'User', reviewer: { id: 12 } }]);
  for (const name of [`plan-${own}`, `apply-${own}`]) {
    const { value } = there(`environments/${name}/variables/AWS_ROLE_ARN`);
    assert.equal(value, roleOf(name));
    assert.equal(there(`environments/${name}/variables/TF_STATE_BUCKET`).value, 'state');
  }
  const { length } = github.calls;
  assert.doesNotMatch(apply({}, [], BOOTSTRAP), /changed|no role/);
  assert.equal(github.calls.length, length);
});

test('reviewers that people have chosen stay, until others are given', () => {
  apply();
  const path = `${AT}/environments/apply-${environments[0]}`;
  github.resources[path].protection_rules = [
    {
      type: 'required_reviewers',
      prevent_self_review: true,
      reviewers: [{ type: 'Team', reviewer: { id: 7 } }],
    },
  ];
  assert.doesNotMatch(apply(), /reviewers/);
  const owner = NAME.split('/')[0];
  github.resources[`orgs/${owner}/teams/platform`] = { id: 8 };
  const output = apply({ REVIEWERS: `@${owner} @${owner}/platform` });
  assert.match(output, /reviewers: Team 7 -> Team 8, User 12/);
  const [{ prevent_self_review: others, reviewers }] = github.resources[path].protection_rules;
  assert.equal(others, true);
  assert.equal(reviewers.length, 2);
  assert.deepEqual(github.resources[path].deployment_branch_policy, {
    protected_branches: false,
    custom_branch_policies: true,
  });
});

for (const [what, change, message] of [
  [
    'a plan of GitHub without approvals',
    () => github.refuses.push(['^PUT .*/apply-', 422, 'Needs another plan', '"reviewers"']),
    /refused {7}environment apply-\w+: GitHub says: Needs another plan/,
  ],
  [
    'an organization as code owner',
    () => Object.assign(github.resources[`users/${NAME.split('/')[0]}`], { type: 'Organization' }),
    /is neither a person nor a team/,
  ],
]) {
  test(`${what} leaves what would be applied without a role`, () => {
    change();
    const output = apply({}, [], BOOTSTRAP);
    assert.match(output, message);
    assert.match(output, /apply-\w+.*: nobody has to approve, so they get no role/);
    const [own] = environments;
    assert.equal(there(`environments/apply-${own}/variables/AWS_ROLE_ARN`), undefined);
    assert.ok(there(`environments/plan-${own}/variables/AWS_ROLE_ARN`));
    assert.ok(there(`environments/apply-${own}`).deployment_branch_policy.custom_branch_policies);
  });
}

const NUMBERS = ['github_owner_id      = "12"', 'github_repository_id = "34"'];
const UNTRUSTED = /the roles in AWS do not trust this repository.*; make bootstrap-aws/;

test('roles have to trust the numbers that GitHub writes, until infra/bootstrap knows them', () => {
  const look = (tfvars) => setup(false, {}, [], undefined, tfvars);
  for (const tfvars of [
    undefined,
    NUMBERS[0],
    `${NUMBERS[0]}\n${NUMBERS[1].replace('34', '35')}\n`,
  ]) {
    const output = look(tfvars);
    assert.match(output, UNTRUSTED);
    assert.match(output, /repo:[^@/]+@12\/[^@/]+@34:environment:apply-dev$/m);
    for (const line of NUMBERS) assert.ok(output.includes(`\`${line}\``), output);
  }
  assert.doesNotMatch(look(`guardduty = true\n${NUMBERS.join('\n')}\n`), /do not trust/);
});

test('roles that trust numbers which GitHub does not write are told', () => {
  // As GitHub answers for a repository that was made before July 2026.
  github.resources[`${AT}/actions/oidc/customization/sub`] = { use_default: true };
  assert.doesNotMatch(plan(), /do not trust/);
  const output = setup(false, {}, [], undefined, NUMBERS.join('\n'));
  assert.match(output, UNTRUSTED);
  assert.match(output, /take github_owner_id and github_repository_id out of/);
});

test('only what workflows use may run in a public repository', () => {
  apply();
  assert.equal(there('actions/permissions').allowed_actions, 'selected');
  const { patterns_allowed: patterns } = there('actions/permissions/selected-actions');
  assert.ok(patterns.includes('jdx/mise-action@*'), patterns);
  assert.ok(!patterns.some((pattern) => /^(actions|github)\//.test(pattern)), patterns);
});

test('what the plan of a private repository lacks is a line each, and the rest is done', () => {
  github = new GitHub({
    name: NAME,
    private: true,
    refuses: [
      ['rulesets', 403, 'Upgrade to GitHub Pro or make this repository public.'],
      ['^PUT .*environments', 422, 'Please ensure the billing plan supports it.'],
      ['private-vulnerability-reporting', 422, 'Validation Failed'],
    ],
  });
  const refused = [
    'dev-deploy',
    'promote',
    'release',
    'rescan',
    'update',
    ...Object.keys(inEach((name) => [name])),
  ]
    .sort()
    .map((name) => `environment ${name}`);
  const output = apply({}, [...refused, 'ruleset main']);
  assert.match(output, /refused {7}ruleset main: GitHub says: Upgrade to GitHub Pro.*HTTP 403/);
  assert.match(output, /refused {7}environment release: GitHub says: .*HTTP 422/);
  assert.match(output, /refused {7}private vulnerability reporting: GitHub says/);
  assert.equal(there('').allow_merge_commit, false);
  assert.equal(there('actions/permissions/workflow').default_workflow_permissions, 'read');
  // Its patterns would not be heeded, so nothing of others could run.
  assert.equal(there('actions/permissions').allowed_actions, 'all');
  assert.equal(there('actions/permissions').sha_pinning_required, true);
});

test('variables are set from the environment, and changed', () => {
  github = new GitHub({ name: NAME, private: true });
  assert.match(plan(), /variable CODE_SCANNING is not set/);
  apply({ CODE_SCANNING: 'yes' });
  const output = apply({ CODE_SCANNING: 'true' });
  assert.match(output, /variable CODE_SCANNING: value: yes -> true/);
  assert.equal(there('actions/variables/CODE_SCANNING').value, 'true');
});

test('a key that every branch could read is told', () => {
  github.resources[`${AT}/actions/secrets`].secrets.push({ name: 'GITOPS_APP_PRIVATE_KEY' });
  assert.match(plan(), /which every branch can read: gh secret delete GITOPS_APP_PRIVATE_KEY/);
});

const STOPS = {
  'a repository that is not there': [
    () => delete github.resources[AT],
    /^GitHub shows no repository \S+ to this login/,
  ],
  'a repository with another name': [
    () => Object.assign(there(''), { full_name: 'acme/other' }),
    /is now called acme\/other/,
  ],
  'somebody who may not': [
    () => Object.assign(there('').permissions, { admin: false }),
    /^This login is no administrator of/,
  ],
  'another default branch': [
    () => Object.assign(there(''), { default_branch: 'trunk' }),
    /^The default branch of \S+ is trunk/,
  ],
  'an App that is not there': [
    () => delete github.resources['apps/acme-gitops'],
    /^GitHub shows no App acme-gitops/,
  ],
};

for (const [what, [change, message]] of Object.entries(STOPS)) {
  test(`${what} stops it with one sentence, before anything is changed`, () => {
    change();
    assert.throws(() => apply(APP), { message });
    assert.deepEqual(github.calls, []);
  });
}

/** Runs the program itself, with a `gh` and a `git` of our own. */
function program(state, origin = gitRepository) {
  const scratch = mkdtempSync(join(tmpdir(), 'setup-'));
  const file = join(scratch, 'state.json');
  writeFileSync(file, JSON.stringify(state));
  const gh = `#!/bin/sh\nexec "${process.execPath}" "${here}/testing/github.js" "$@"\n`;
  writeFileSync(join(scratch, 'gh'), gh, { mode: 0o755 });
  writeFileSync(join(scratch, 'git'), `#!/bin/sh\necho "${origin}"\n`, { mode: 0o755 });
  try {
    return spawnSync(process.execPath, [join(here, 'github-setup.js')], {
      encoding: 'utf8',
      env: { PATH: `${scratch}${delimiter}${process.env.PATH}`, GITHUB_STATE: file },
    });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

test('the program asks gh, and says what must hold and does not', () => {
  const { status, stdout, stderr } = program({
    name: NAME,
    refuses: [['rulesets', 403, 'Upgrade to GitHub Pro']],
  });
  assert.equal(status, 1);
  assert.match(stdout, /would change {2}environment release: branches: none -> main/);
  assert.match(stderr, /This must hold, and does not: ruleset main$/m);
});

for (const [what, state, origin, message] of [
  [
    'a login that is missing',
    { loggedOut: true },
    undefined,
    /^gh is not logged in: run gh auth login$/,
  ],
  [
    'a login that is over',
    { refuses: [['', 401, 'Bad credentials']] },
    undefined,
    /^GitHub does not accept the login of gh: run gh auth login$/,
  ],
  ['a fork', {}, 'git@github.com:acme/fork.git', /^The remote origin is \S+fork\.git, but/],
  ['no remote', {}, '', /^git has no remote origin here/],
]) {
  test(`${what} ends the program with one sentence`, () => {
    const { status, stdout, stderr } = program({ name: NAME, ...state }, origin);
    assert.equal(status, 1);
    assert.match(stderr.trim(), message);
    assert.equal(stdout, '');
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  });
}
