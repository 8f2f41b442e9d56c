// Sets up the repository on GitHub as the workflows and docs/github.md need it. It says what it would
// change, each setting on a line, and does so with --apply only. Doing it twice changes nothing.
// Usage: github-setup.js [--apply]
// The values of variables come from infra/github-variables.json, which make bootstrap-aws writes, or from
// environment variables of their names. GITOPS_APP and UPDATE_APP are the names of the GitHub Apps, as in
// https://github.com/apps/NAME. REVIEWERS are those who may approve what Terraform changes, such as
// "@person @organization/team"; without it they are the code owners of everything.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { environments, factsOf } from '../../checks/lib/facts.js';
import { command, read, root } from '../../checks/lib/repository.js';
import { environmentsOf, isForEach, jobsOf, workflows } from '../../checks/lib/workflows.js';
import { api as askGitHub, Refusal } from './lib/github.js';

/** What a run was given, and what came of it; see setUp. */
let run;

// ---------------------------------------------------------------------------- what workflows name

const jobs = workflows.flatMap(jobsOf);
const steps = jobs.flatMap(({ data }) => data.steps ?? []);
const namesIn = (job, kind) =>
  [...JSON.stringify(job.data).matchAll(new RegExp(`\\b${kind}\\.(\\w+)`, 'g'))].map(
    ([, name]) => name,
  );
const unique = (list) => [...new Set(list)].sort();

/** What the jobs with an environment read of a kind: pairs of an environment and a name. */
const pairsOf = (some, kind) =>
  unique(
    some.flatMap((job) =>
      environmentsOf(job).flatMap((place) => namesIn(job, kind).map((name) => `${place} ${name}`)),
    ),
  ).map((pair) => pair.split(' '));

const named = unique(jobs.flatMap(environmentsOf));
const secrets = pairsOf(jobs, 'secrets');

// What differs from one of our environments to the next is a variable of the environment on GitHub.
const variables = unique(
  jobs.filter((job) => !isForEach(job)).flatMap((job) => namesIn(job, 'vars')),
);
const variablesOfEach = pairsOf(jobs.filter(isForEach), 'vars');

/** Whether jobs of every branch may run in an environment: it is for plans, which change nothing. */
const isOpen = (environment) => environment.startsWith('plan-');

/** Whether the jobs of an environment wait for somebody: they change AWS. */
const isApproved = (environment) => environment.startsWith('apply-');

/** The actions of others than GitHub, as the patterns of its setting. */
const patterns = unique(
  steps.flatMap(({ uses = '' }) => {
    const [, owner, repository, folder] = /^([\w.-]+)\/([\w.-]+)(\/\S+)?@/.exec(uses) ?? [];
    if (owner === undefined || ['actions', 'github'].includes(owner)) return [];
    return `${owner}/${repository}${folder ? '/' : '@'}*`;
  }),
);

/** The Apps: one commits digests to main and may bypass its rules, one proposes what changes workflows. */
const [GITOPS, UPDATE] = ['GITOPS_APP', 'UPDATE_APP'];
const clientIdOf = (app) => `${app}_CLIENT_ID`;

/** What the tokens of an App are asked for: the most that it has to have. */
const permissionsOf = (app) =>
  Object.fromEntries(
    steps
      .filter(({ with: inputs = {} }) => String(inputs['client-id']).includes(clientIdOf(app)))
      .flatMap((step) => Object.entries(step.with))
      .filter(([key]) => key.startsWith('permission-'))
      .map(([key, access]) => [key.replace('permission-', '').replaceAll('-', '_'), access]),
  );

/** The one check that stands for all of ci.yml. */
const check = workflows.find(({ name }) => name === 'ci.yml').data.jobs.ci.name;

// ---------------------------------------------------------------------------- what is changed, and how

const api = (...request) => run.api(...request);

/** What there is at a path; undefined when there is nothing. */
function find(path) {
  try {
    return api('GET', path);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined;
    throw error;
  }
}

const show = (value) => {
  if (value === undefined || value === null || value.length === 0) return 'none';
  return Array.isArray(value) ? value.join(', ') : String(value);
};

function refuse(what, error, must) {
  if (!(error instanceof Refusal)) throw error;
  if (must) run.failures.push(what);
  run.say(`  refused       ${what}: GitHub says: ${error.message}`);
}

/**
 * Makes settings what they should be. `now` tells what they are, `change` gets that and changes them.
 * What GitHub refuses, as the plan of a private repository lacks it, is said; it fails the program if it
 * must hold.
 * @returns whether it is so, or would be.
 */
function ensure(what, wanted, { now, change, must = false }) {
  try {
    const before = now();
    const lines = Object.entries(wanted)
      .filter(([key, value]) => !isDeepStrictEqual(before[key] ?? undefined, value))
      .map(([key, value]) => `${what}: ${key}: ${show(before[key])} -> ${show(value)}`);
    if (lines.length === 0) return true;
    if (run.apply) change(before);
    run.changes += lines.length;
    for (const line of lines) run.say(`  ${run.apply ? 'changed     ' : 'would change'}  ${line}`);
    return true;
  } catch (error) {
    refuse(what, error, must);
    return false;
  }
}

// ---------------------------------------------------------------------------- the parts

/** The repository on GitHub, after a look at whether all of this is about it. */
function findRepository(origin) {
  const { gitRepository } = factsOf(environments[0]);
  const nameIn = (address) => /github\.com[:/]([^/]+\/[^/]+?)(\.git)?\/?$/.exec(address)?.[1];
  const name = nameIn(gitRepository);
  if (!name) throw new Error(`facts.yaml names ${gitRepository}, which is not on GitHub`);
  if (!origin) throw new Error(`git has no remote origin here; it should be ${gitRepository}`);
  if (nameIn(origin)?.toLowerCase() !== name.toLowerCase()) {
    throw new Error(`The remote origin is ${origin}, but this repository is ${name} (facts.yaml)`);
  }
  const repository = find(`repos/${name}`);
  if (!repository) {
    throw new Error(
      `GitHub shows no repository ${name} to this login: create it, or see gh auth status`,
    );
  }
  const { full_name: real, default_branch: branch, permissions } = repository;
  if (real.toLowerCase() !== name.toLowerCase()) {
    throw new Error(
      `${name} is now called ${real}: change it in facts.yaml and image-signatures.yaml`,
    );
  }
  if (!permissions?.admin) throw new Error(`This login is no administrator of ${name}`);
  if (branch !== 'main')
    throw new Error(`The default branch of ${name} is ${branch}; make it main`);
  return repository;
}

/** The App that is given, or undefined. */
function findApp(kind) {
  const slug = run.environment[kind];
  if (!slug) return undefined;
  const app = find(`apps/${slug}`);
  if (!app) {
    throw new Error(
      `GitHub shows no App ${slug} to this login: its name is the last part of https://github.com/apps/NAME`,
    );
  }
  const wanted = { metadata: 'read', ...permissionsOf(kind) };
  for (const name of unique([...Object.keys(wanted), ...Object.keys(app.permissions)])) {
    const [has, should] = [app.permissions[name], wanted[name]];
    if (has !== should)
      run.todo.push(`App ${slug}: ${name}: it has ${show(has)}, and needs ${show(should)}`);
  }
  return app;
}

function settings(at, repository) {
  const wanted = {
    allow_squash_merge: true,
    allow_merge_commit: false,
    allow_rebase_merge: false,
    delete_branch_on_merge: true,
    has_wiki: false,
    // Keeps the line "Source:" of a release that was merged by hand.
    squash_merge_commit_title: 'COMMIT_OR_PR_TITLE',
    squash_merge_commit_message: 'COMMIT_MESSAGES',
  };
  const change = () => api('PATCH', at, wanted);
  ensure('repository', wanted, { now: () => repository, change, must: true });
}

function actions(at, { isPrivate, byApp }) {
  const permissions = `${at}/actions/permissions`;
  let before;
  // GitHub heeds patterns in public repositories only: elsewhere no action of others could run.
  const allowed = isPrivate ? {} : { allowed_actions: 'selected' };
  const policy = { enabled: true, sha_pinning_required: true, ...allowed };
  ensure('actions', policy, {
    now: () => {
      before = api('GET', permissions);
      return before;
    },
    change: ({ allowed_actions }) => api('PUT', permissions, { allowed_actions, ...policy }),
  });
  if (!isPrivate) {
    const selected = {
      github_owned_allowed: true,
      verified_allowed: false,
      patterns_allowed: patterns,
    };
    const path = `${permissions}/selected-actions`;
    ensure('actions that may run', selected, {
      now: () => {
        if (before?.allowed_actions !== 'selected') return {};
        const found = api('GET', path);
        return { ...found, patterns_allowed: [...(found.patterns_allowed ?? [])].sort() };
      },
      change: () => api('PUT', path, selected),
    });
  }
  const token = {
    default_workflow_permissions: 'read',
    // One setting for both: to open pull requests, which the mode without an App needs, and to approve
    // them. No approval of a workflow counts, as it is no code owner.
    can_approve_pull_request_reviews: !byApp,
  };
  const path = `${permissions}/workflow`;
  const change = () => api('PUT', path, token);
  ensure('token of workflows', token, { now: () => api('GET', path), change, must: true });
}

function security(at, repository) {
  const wanted = { enabled: true };
  const alerts = `${at}/vulnerability-alerts`;
  ensure('Dependabot alerts', wanted, {
    now: () => {
      try {
        api('GET', alerts);
        return wanted;
      } catch (error) {
        if (!(error instanceof Refusal) || error.status !== 404) throw error;
        return { enabled: false };
      }
    },
    change: () => api('PUT', alerts),
  });
  const updates = `${at}/automated-security-fixes`;
  ensure('Dependabot security updates', wanted, {
    now: () => find(updates) ?? { enabled: false },
    change: () => api('PUT', updates),
  });
  const reporting = `${at}/private-vulnerability-reporting`;
  ensure('private vulnerability reporting', wanted, {
    now: () => api('GET', reporting),
    change: () => api('PUT', reporting),
  });
  for (const feature of ['secret_scanning', 'secret_scanning_push_protection']) {
    const on = { status: 'enabled' };
    ensure(feature.replaceAll('_', ' '), on, {
      now: () => repository.security_and_analysis?.[feature] ?? {},
      change: () => api('PATCH', at, { security_and_analysis: { [feature]: on } }),
    });
  }
}

/** Who must approve the jobs of an environment, and when, in the words in which it is set. */
function rulesOf(environment) {
  const rules = environment?.protection_rules ?? [];
  const ruleOf = (type) => rules.find((rule) => rule.type === type);
  const review = ruleOf('required_reviewers');
  return {
    ...(ruleOf('wait_timer') && { wait_timer: ruleOf('wait_timer').wait_timer }),
    ...(review && {
      prevent_self_review: review.prevent_self_review ?? false,
      reviewers: review.reviewers.map(({ type, reviewer }) => ({ type, id: reviewer.id })),
    }),
  };
}

const pathOf = (at, environment) => `${at}/environments/${encodeURIComponent(environment)}`;

/** Lets the jobs of an environment run on main only, but for plans; its other rules stay as they are. */
function protect(at, name) {
  if (name.includes('{')) {
    run.failures.push(`environment ${name}`);
    run.say(`  refused       environment ${name}: only a name without an expression can be set up`);
    return;
  }
  const path = pathOf(at, name);
  const policies = `${path}/deployment-branch-policies`;
  const policiesNow = (environment) =>
    environment?.deployment_branch_policy?.custom_branch_policies
      ? api('GET', `${policies}?per_page=100`).branch_policies
      : [];
  const isMain = ({ name: branch, type = 'branch' }) => branch === 'main' && type === 'branch';
  ensure(
    `environment ${name}`,
    { branches: [isOpen(name) ? 'all' : 'main'] },
    {
      must: true,
      now: () => {
        const environment = find(path);
        if (!environment) return {};
        const policy = environment.deployment_branch_policy;
        if (!policy) return { branches: ['all'] };
        if (policy.protected_branches) return { branches: ['all that are protected'] };
        const found = policiesNow(environment).map((entry) =>
          isMain(entry) ? 'main' : `${entry.type ?? 'branch'} ${entry.name}`,
        );
        return { branches: found.sort() };
      },
      change: () => {
        const kept = rulesOf(find(path));
        if (isOpen(name)) {
          api('PUT', path, { ...kept, deployment_branch_policy: null });
          return;
        }
        const deployment_branch_policy = {
          protected_branches: false,
          custom_branch_policies: true,
        };
        api('PUT', path, { ...kept, deployment_branch_policy });
        const found = policiesNow({ deployment_branch_policy });
        if (!found.some(isMain)) api('POST', policies, { name: 'main', type: 'branch' });
        for (const entry of found.filter((other) => !isMain(other))) {
          api('DELETE', `${policies}/${entry.id}`);
        }
      },
    },
  );
}

/** Those who may approve what Terraform changes, as far as GitHub knows them. */
function findReviewers() {
  const owners = /^\* +(.+)$/m.exec(read('.github/CODEOWNERS'))?.[1] ?? '';
  const names = (run.environment.REVIEWERS || owners).split(/[\s,]+/).filter(Boolean);
  return names.flatMap((name) => {
    const [, owner, team] = /^@?([\w-]+)(?:\/([\w.-]+))?$/.exec(name) ?? [];
    const found = owner && find(team ? `orgs/${owner}/teams/${team}` : `users/${owner}`);
    if (found && team) return { type: 'Team', id: found.id };
    if (found?.type === 'User') return { type: 'User', id: found.id };
    run.todo.push(
      `${name} is neither a person nor a team, so it cannot approve what Terraform changes: correct .github/CODEOWNERS, or say REVIEWERS="@person @organization/team"`,
    );
    return [];
  });
}

/**
 * Lets the jobs of an environment wait for an approval. Reviewers that are there stay, unless others are given.
 * @returns whether they wait.
 */
function requireApproval(at, name, reviewers) {
  const path = pathOf(at, name);
  const list = (some) => some.map(({ type, id }) => `${type} ${id}`).sort();
  const current = find(path);
  // It could not be made.
  if (run.apply && !current) return false;
  const before = rulesOf(current).reviewers ?? [];
  const wanted = run.environment.REVIEWERS || before.length === 0 ? reviewers : before;
  if (wanted.length === 0) return false;
  return ensure(
    `environment ${name}`,
    { reviewers: list(wanted) },
    {
      now: () => ({ reviewers: list(before) }),
      change: () => {
        const { deployment_branch_policy } = current;
        const rules = { prevent_self_review: false, ...rulesOf(current), reviewers: wanted };
        api('PUT', path, { ...rules, deployment_branch_policy });
      },
    },
  );
}

const actor = ({ actor_type, actor_id, bypass_mode }) => `${actor_type} ${actor_id} ${bypass_mode}`;

/** The settings of a ruleset as lines; `names` says of which rules. */
function linesOf({ enforcement, bypass_actors = [], conditions, rules }, names) {
  const lines = {
    enforcement,
    branches: conditions?.ref_name?.include ?? [],
    ...(conditions?.ref_name?.exclude?.length && {
      'branches left out': conditions.ref_name.exclude,
    }),
    'may bypass': bypass_actors.map(actor).sort(),
  };
  for (const { type, parameters = {} } of rules) {
    if (!names.includes(type)) continue;
    lines[type] = 'on';
    for (const [key, value] of Object.entries(parameters)) {
      const text = (part) =>
        part.context ? `${part.context} of App ${part.integration_id}` : String(part);
      lines[`${type}: ${key}`] = Array.isArray(value) ? value.map(text).sort() : value;
    }
  }
  return lines;
}

/** Who may bypass the rules of main: the App, and nobody else. */
function bypass(app, byApp, current) {
  const entry = (id) => ({ actor_type: 'Integration', actor_id: id, bypass_mode: 'always' });
  if (app) return [entry(app.id)];
  if (!byApp) return [];
  const found = (current?.bypass_actors ?? []).filter(
    ({ actor_type: type }) => type === 'Integration',
  );
  if (found.length === 1) return [entry(found[0].actor_id)];
  run.failures.push('ruleset main: may bypass');
  run.say('  refused       ruleset main: which App may bypass it? Say GITOPS_APP=NAME');
  return [];
}

function ruleset(at, app, byApp) {
  const what = 'ruleset main';
  try {
    const list = api('GET', `${at}/rulesets?includes_parents=false&per_page=100`);
    const known = list.find(({ name, target }) => name === 'main' && target === 'branch');
    const current = known && api('GET', `${at}/rulesets/${known.id}`);
    const rules = [
      { type: 'deletion' },
      { type: 'non_fast_forward' },
      { type: 'required_linear_history' },
      {
        type: 'pull_request',
        parameters: {
          allowed_merge_methods: ['squash'],
          dismiss_stale_reviews_on_push: true,
          require_code_owner_review: true,
          require_last_push_approval: true,
          required_approving_review_count: 1,
          required_review_thread_resolution: true,
        },
      },
      {
        type: 'required_status_checks',
        parameters: {
          required_status_checks: [
            // From GitHub Actions: whoever may write a status could else say that it passed.
            { context: check, integration_id: api('GET', 'apps/github-actions').id },
          ],
          // Each release is a commit on main, after which no pull request would be up to date.
          strict_required_status_checks_policy: false,
        },
      },
    ];
    const wanted = {
      name: 'main',
      target: 'branch',
      enforcement: 'active',
      bypass_actors: bypass(app, byApp, current),
      conditions: { ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] } },
      rules,
    };
    const types = rules.map(({ type }) => type);
    // Rules and parameters that somebody has added stay.
    const before = current?.rules ?? [];
    const body = {
      ...wanted,
      rules: [
        ...rules.map((rule) => {
          const there = before.find(({ type }) => type === rule.type)?.parameters;
          return rule.parameters ? { ...rule, parameters: { ...there, ...rule.parameters } } : rule;
        }),
        ...before.filter(({ type }) => !types.includes(type)),
      ],
    };
    ensure(what, linesOf(wanted, types), {
      must: true,
      now: () => (current ? linesOf(current, types) : {}),
      change: () =>
        current
          ? api('PUT', `${at}/rulesets/${current.id}`, body)
          : api('POST', `${at}/rulesets`, body),
    });
  } catch (error) {
    refuse(what, error, true);
  }
}

/** The variables of the repository or of an environment, by name. */
function variablesOf(list) {
  const found = new Map();
  // GitHub gives 30 at most.
  for (let page = 1; ; page += 1) {
    const { variables: some = [] } = find(`${list}?per_page=30&page=${page}`) ?? {};
    for (const { name, value } of some) found.set(name, value);
    if (some.length < 30) return found;
  }
}

/** Gives a variable its value. Without one nothing is changed; returns whether it has any. */
function setVariable(what, list, there, name, wanted) {
  const now = there.get(name);
  if (!wanted) return now !== undefined;
  ensure(
    what,
    { value: wanted },
    {
      must: true,
      now: () => ({ value: now }),
      change: () =>
        now === undefined
          ? api('POST', list, { name, value: wanted })
          : api('PATCH', `${list}/${name}`, { name, value: wanted }),
    },
  );
  return true;
}

/** The variables of the repository; `apps` are those that are given, `used` the names of those in use. */
function setVariables(list, there, { apps, used, isPrivate }) {
  for (const name of variables) {
    const kind = [GITOPS, UPDATE].find((each) => clientIdOf(each) === name);
    if (kind && !used.includes(kind)) continue;
    // What a public repository has anyway.
    if (['ATTESTATIONS', 'CODE_SCANNING'].includes(name) && !isPrivate) continue;
    const given = run.environment[name] || run.bootstrap.repository[name];
    const value = kind ? (apps[kind]?.client_id ?? given) : given;
    if (!setVariable(`variable ${name}`, list, there, name, value)) {
      run.todo.push(`variable ${name} is not set; docs/delivery.md tells what for`);
    }
  }
}

/** The variables of environments, by which their jobs get a role; of one that must wait, when it does. */
function setVariablesOfEach(at, waiting) {
  const missing = new Set();
  const lists = new Map();
  for (const [environment, name] of variablesOfEach) {
    const list = `${pathOf(at, environment)}/variables`;
    if (!lists.has(list)) lists.set(list, variablesOf(list));
    const value = run.bootstrap.environments[environment]?.[name];
    if (value && isApproved(environment) && !waiting.has(environment)) continue;
    const what = `environment ${environment}: variable ${name}`;
    if (!setVariable(what, list, lists.get(list), name, value)) missing.add(environment);
  }
  if (missing.size > 0) {
    run.todo.push(
      `${[...missing].join(', ')}: no role, so Terraform does not run there; make bootstrap-aws makes the roles, and this hands them over`,
    );
  }
  const left = named.filter((name) => isApproved(name) && !waiting.has(name));
  if (left.length > 0) {
    run.todo.push(
      `${left.join(', ')}: nobody has to approve, so they get no role; apply by hand, with make infra-plan infra-apply`,
    );
  }
}

/** Secrets are never touched here; what is missing is said. */
function lookForSecrets(at, used) {
  const shared = find(`${at}/actions/secrets?per_page=100`)?.secrets ?? [];
  for (const name of unique(secrets.map(([, secret]) => secret))) {
    if (!shared.some((secret) => secret.name === name)) continue;
    run.todo.push(
      `secret ${name} is one of the repository, which every branch can read: gh secret delete ${name}`,
    );
  }
  for (const [environment, name] of secrets) {
    if (!used.some((kind) => name.startsWith(kind))) continue;
    const found = find(`${pathOf(at, environment)}/secrets?per_page=100`)?.secrets ?? [];
    if (found.some((secret) => secret.name === name)) continue;
    run.todo.push(
      `secret ${name} is missing in environment ${environment}: gh secret set ${name} --env ${environment} < KEY.pem`,
    );
  }
}

/** What infra/bootstrap has to know when GitHub writes subjects with numbers, which no new owner of a name gets. */
const TFVARS = 'infra/bootstrap/terraform.tfvars';
const NUMBERS = ['github_owner_id', 'github_repository_id'];

/** What roles in AWS have to trust, and whether infra/bootstrap knows it. */
function showSubjects(at, fullName) {
  const roles = jobs.filter(({ data }) => JSON.stringify(data).includes('role-to-assume'));
  if (roles.length === 0) return;
  const form = find(`${at}/actions/oidc/customization/sub`) ?? { use_default: true };
  run.say('\nWhat the roles in AWS have to trust, as the subject of this repository:');
  if (!form.use_default) {
    run.say(
      `  made of the claims ${show(form.include_claim_keys)}: the form was changed on GitHub`,
    );
    return;
  }
  const prefix = form.sub_claim_prefix ?? `repo:${fullName}`;
  for (const name of unique(roles.flatMap(environmentsOf))) {
    run.say(`  ${prefix}:environment:${name}`);
  }
  const numbers = /^repo:[^@/]+@(\d+)\/[^@/]+@(\d+)$/.exec(prefix)?.slice(1) ?? [];
  const known = NUMBERS.map(
    (name) => new RegExp(`^${name} *= *"(\\d+)"`, 'm').exec(run.tfvars)?.[1],
  );
  if (NUMBERS.every((_, index) => numbers[index] === known[index])) return;
  const width = Math.max(...NUMBERS.map(({ length }) => length));
  const lines = NUMBERS.map((name, index) => `\`${name.padEnd(width)} = "${numbers[index]}"\``);
  const [what, mend] =
    numbers.length > 0
      ? ['numbers', `write ${lines.join(' and ')} into ${TFVARS}, each on a line of its own`]
      : ['no numbers', `take ${NUMBERS.join(' and ')} out of ${TFVARS}`];
  run.todo.push(
    `the roles in AWS do not trust this repository, as GitHub writes ${what} into its subject: ${mend}; make bootstrap-aws, and commit that file`,
  );
}

/**
 * Does all of it, or says what it would do.
 * @param {object} given `api` asks GitHub, `origin` is the address of git's remote, `environment` and
 *   `bootstrap` hold the values of variables, `tfvars` is the text of those of infra/bootstrap, `apply` says
 *   whether to change anything, `say` takes a line for people.
 * @returns {{changes: number, failures: string[], todo: string[]}}
 */
export function setUp({ origin, bootstrap = {}, tfvars = '', ...given }) {
  const { repository: ofRepository = {}, environments: ofEnvironments = {} } = bootstrap;
  run = {
    ...given,
    tfvars,
    bootstrap: { repository: ofRepository, environments: ofEnvironments },
    changes: 0,
    failures: [],
    todo: [],
  };
  const repository = findRepository(origin);
  const apps = { [GITOPS]: findApp(GITOPS), [UPDATE]: findApp(UPDATE) };
  const at = `repos/${repository.full_name}`;
  const list = `${at}/actions/variables`;
  const there = variablesOf(list);
  const used = [GITOPS, UPDATE].filter(
    (kind) => apps[kind] || run.environment[clientIdOf(kind)] || there.has(clientIdOf(kind)),
  );
  const byApp = used.includes(GITOPS);
  const { private: isPrivate } = repository;
  run.say(`${repository.full_name}, ${isPrivate ? 'private' : 'public'}:`);

  settings(at, repository);
  actions(at, { isPrivate, byApp });
  security(at, repository);
  for (const environment of named) protect(at, environment);
  const reviewers = findReviewers();
  const waiting = named.filter(
    (environment) => isApproved(environment) && requireApproval(at, environment, reviewers),
  );
  ruleset(at, apps[GITOPS], byApp);
  setVariables(list, there, { apps, used, isPrivate });
  setVariablesOfEach(at, new Set(waiting));
  lookForSecrets(at, used);
  const lacks = {
    [GITOPS]:
      'no GitHub App: releases and promotions work in the weaker way, by pull requests on which no check starts',
    [UPDATE]: 'no GitHub App for updates: update.yml opens no pull request, and says what there is',
  };
  for (const kind of Object.keys(lacks).filter((each) => !used.includes(each))) {
    const needs = Object.entries(permissionsOf(kind)).map((pair) => pair.join(': '));
    run.todo.push(
      `${lacks[kind]}. An App needs ${needs.join(', ')}; docs/github.md tells how to make it`,
    );
  }
  showSubjects(at, repository.full_name);
  return run;
}

function main() {
  const { values } = parseArgs({ options: { apply: { type: 'boolean' } } });
  const git = ['remote', 'get-url', 'origin'];
  const { stdout } = spawnSync('git', git, { cwd: root, encoding: 'utf8' });
  const file = 'infra/github-variables.json';
  const { changes, failures, todo } = setUp({
    api: askGitHub,
    origin: stdout?.trim(),
    environment: process.env,
    bootstrap: existsSync(join(root, file)) ? JSON.parse(read(file)) : {},
    tfvars: existsSync(join(root, TFVARS)) ? read(TFVARS) : '',
    apply: values.apply ?? false,
    say: console.log,
  });
  if (todo.length > 0) console.log('\nLeft to do:');
  for (const line of todo) console.log(`  - ${line}`);
  if (failures.length > 0)
    throw new Error(`\nThis must hold, and does not: ${failures.join('; ')}`);
  if (changes === 0) console.log('\nNothing is to be changed.');
  else if (values.apply) console.log('\nDone.');
  else
    console.log(
      '\nNothing was changed. To do this: make github-setup APPLY=yes, with the same settings.',
    );
}

if (import.meta.main) command(main);
