// Stands in for GitHub's API in tests, as it cannot run here. It holds a repository that was just made,
// does what the documentation says of each path that the setup uses, and refuses others. Run as `gh`,
// it keeps its state in the JSON file that GITHUB_STATE names.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Refusal } from '../lib/github.js';

/** What GitHub holds of a new repository, by path. */
const newRepository = (at, name, isPrivate) => ({
  [at]: {
    full_name: name,
    private: isPrivate,
    default_branch: 'main',
    permissions: { admin: true },
    allow_squash_merge: true,
    allow_merge_commit: true,
    allow_rebase_merge: true,
    delete_branch_on_merge: false,
    has_wiki: true,
    squash_merge_commit_title: 'COMMIT_OR_PR_TITLE',
    squash_merge_commit_message: 'COMMIT_MESSAGES',
  },
  [`${at}/actions/permissions`]: {
    enabled: true,
    allowed_actions: 'all',
    sha_pinning_required: false,
  },
  [`${at}/actions/permissions/workflow`]: {
    default_workflow_permissions: 'write',
    can_approve_pull_request_reviews: false,
  },
  [`${at}/actions/secrets`]: { secrets: [] },
  // Repositories that were made before July 2026 have no numbers there.
  [`${at}/actions/oidc/customization/sub`]: {
    use_default: true,
    sub_claim_prefix: `repo:${name.replace('/', '@12/')}@34`,
  },
  [`${at}/automated-security-fixes`]: { enabled: false, paused: false },
  [`${at}/private-vulnerability-reporting`]: { enabled: false },
  [`${at}/rulesets`]: [],
  'apps/github-actions': { id: 15368 },
  [`users/${name.split('/')[0]}`]: { id: 12, type: 'User' },
  'apps/acme-gitops': {
    id: 4711,
    client_id: 'Iv23liEXAMPLE',
    permissions: { metadata: 'read', contents: 'write', pull_requests: 'write' },
  },
});

const missing = () => new Refusal(404, 'Not Found');

export class GitHub {
  /**
   * `refuses` holds what a plan lacks: a pattern of "METHOD path", a status, a message, and a pattern of the
   * body when it matters.
   */
  constructor({ name, private: isPrivate = false, resources, refuses = [], calls = [], last = 0 }) {
    this.name = name;
    this.at = `repos/${name}`;
    this.resources = resources ?? newRepository(this.at, name, isPrivate);
    this.refuses = refuses;
    /** What was asked that changes something. */
    this.calls = calls;
    this.last = last;
  }

  request(method, address, body) {
    const [path, query] = address.split('?');
    const text = JSON.stringify(body ?? {});
    const refused = this.refuses.find(
      ([pattern, , , content = '']) =>
        new RegExp(pattern).test(`${method} ${path}`) && new RegExp(content).test(text),
    );
    if (refused) throw new Refusal(refused[1], refused[2]);
    if (method === 'GET') return this.page(structuredClone(this.read(path)), query);
    this.calls.push({ method, path, body });
    this.write(method, path, structuredClone(body));
    return undefined;
  }

  read(path) {
    const [, owner] = /^(.+?)(?:\/actions)?\/variables$/.exec(path) ?? [];
    if (owner && this.resources[owner]) {
      const own = Object.keys(this.resources).filter((place) => place.startsWith(`${path}/`));
      return { variables: own.map((place) => this.resources[place]) };
    }
    const found = this.resources[path];
    if (found === undefined) throw missing();
    if (path.endsWith('/selected-actions') && !this.selects()) throw new Refusal(409, 'Conflict');
    return found === '' ? undefined : found;
  }

  /** The part of a list that a request asks for. */
  page(found, query) {
    const wanted = new URLSearchParams(query);
    if (!Array.isArray(found) || !wanted.has('page')) return found;
    const size = Number(wanted.get('per_page') ?? 30);
    const first = (Number(wanted.get('page')) - 1) * size;
    return found.slice(first, first + size);
  }

  selects() {
    return this.resources[`${this.at}/actions/permissions`].allowed_actions === 'selected';
  }

  nextId() {
    this.last += 1;
    return this.last;
  }

  /** What a request with a body does to what the path holds. */
  write(method, path, body) {
    const { at, resources } = this;
    const rest = path.startsWith(`${at}/`) ? path.slice(at.length + 1) : '';
    if (path === at && method === 'PATCH') {
      const { security_and_analysis: features = {}, ...settings } = body;
      Object.assign(resources[at], settings);
      const before = resources[at].security_and_analysis ?? {};
      resources[at].security_and_analysis = { ...before, ...features };
    } else if (/^actions\/permissions(\/workflow)?$/.test(rest) && method === 'PUT') {
      resources[path] = { ...resources[path], ...body };
      resources[`${at}/actions/permissions/selected-actions`] ??= {
        github_owned_allowed: false,
        verified_allowed: false,
        patterns_allowed: [],
      };
    } else if (rest === 'actions/permissions/selected-actions' && method === 'PUT') {
      if (!this.selects()) throw new Refusal(409, 'Conflict');
      resources[path] = body;
    } else if (rest === 'vulnerability-alerts' && method === 'PUT') {
      resources[path] = '';
    } else if (
      /^(automated-security-fixes|private-vulnerability-reporting)$/.test(rest) &&
      method === 'PUT'
    ) {
      resources[path] = { enabled: true, paused: false };
    } else if (/^environments\/[^/]+$/.test(rest) && method === 'PUT') {
      const { wait_timer, reviewers, prevent_self_review, deployment_branch_policy } = body;
      // What is left out is removed.
      const rules = [
        ...(wait_timer ? [{ type: 'wait_timer', wait_timer }] : []),
        ...(reviewers
          ? [
              {
                type: 'required_reviewers',
                prevent_self_review,
                reviewers: reviewers.map(({ type, id }) => ({ type, reviewer: { id } })),
              },
            ]
          : []),
      ];
      resources[path] = { protection_rules: rules, deployment_branch_policy };
      resources[`${path}/deployment-branch-policies`] ??= { branch_policies: [] };
    } else if (
      /^environments\/[^/]+\/deployment-branch-policies$/.test(rest) &&
      method === 'POST'
    ) {
      const parent = path.replace(/\/deployment-branch-policies$/, '');
      if (!resources[parent]?.deployment_branch_policy?.custom_branch_policies) throw missing();
      resources[path].branch_policies.push({ id: this.nextId(), ...body });
    } else if (/^environments\/[^/]+\/deployment-branch-policies\/\d+$/.test(rest)) {
      const [, list, id] = /^(.*)\/(\d+)$/.exec(path);
      const policies = resources[list].branch_policies;
      resources[list].branch_policies = policies.filter((policy) => String(policy.id) !== id);
    } else if (rest === 'rulesets' && method === 'POST') {
      const id = this.nextId();
      resources[path].push({ id, name: body.name, target: body.target });
      resources[`${path}/${id}`] = { id, ...body };
    } else if (/^rulesets\/\d+$/.test(rest) && method === 'PUT') {
      resources[path] = { ...resources[path], ...body };
    } else if (/^(actions|environments\/[^/]+)\/variables$/.test(rest) && method === 'POST') {
      const parent = path.replace(/\/variables$/, '');
      if (rest.startsWith('environments/') && !resources[parent]) throw missing();
      if (resources[`${path}/${body.name}`]) throw new Refusal(409, 'Already exists');
      resources[`${path}/${body.name}`] = body;
    } else if (/^(actions|environments\/[^/]+)\/variables\/\w+$/.test(rest) && method === 'PATCH') {
      if (!resources[path]) throw missing();
      resources[path] = body;
    } else if (/^issues\/\d+\/comments$/.test(rest) && method === 'POST') {
      resources[path] ??= [];
      resources[path].push({ id: this.nextId(), user: { login: 'github-actions[bot]' }, ...body });
    } else if (/^issues\/comments\/\d+$/.test(rest) && method === 'PATCH') {
      const all = Object.entries(resources).flatMap(([place, list]) =>
        /\/issues\/\d+\/comments$/.test(place) ? list : [],
      );
      const comment = all.find(({ id }) => String(id) === rest.split('/').at(-1));
      if (!comment) throw missing();
      Object.assign(comment, body);
    } else {
      throw missing();
    }
  }
}

/** Answers as gh does. */
function main() {
  const file = process.env.GITHUB_STATE;
  const state = JSON.parse(readFileSync(file, 'utf8'));
  if (state.loggedOut) {
    console.error('To get started with GitHub CLI, please run:  gh auth login');
    process.exitCode = 4;
    return;
  }
  const text = { type: 'string' };
  const options = { method: text, header: text, input: text };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const [command, path] = positionals;
  // Whether the login is good.
  if (`${command} ${path}` === 'auth status') return;
  if (command !== 'api') throw new Error(`unknown command "${command}" for "gh"`);
  const github = new GitHub(state);
  try {
    const body = values.input === '-' ? JSON.parse(readFileSync(0, 'utf8')) : undefined;
    const answer = github.request(values.method, path, body);
    if (answer !== undefined) console.log(JSON.stringify(answer));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(`gh: ${error.message}`);
    process.exitCode = 1;
  }
  writeFileSync(file, JSON.stringify(github));
}

if (import.meta.main) main();
