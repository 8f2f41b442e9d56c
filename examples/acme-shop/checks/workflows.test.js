// Workflows hold the credentials of this repository. What they may do, and how they are written, is
// judged here; their syntax and known traps by actionlint and zizmor (make lint-workflows).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { environments, factsOf } from './lib/facts.js';
import { read, root } from './lib/repository.js';
import {
  entries,
  environmentsOf,
  jobsOf,
  permissionsDocument,
  workflows,
} from './lib/workflows.js';

/**
 * What a job may have beyond `contents: read`. Whatever a workflow asks for more needs a line here,
 * where a reviewer looks at it.
 */
const GRANTS = {
  'codeql.yml analyze': ['actions: read', 'security-events: write'],
  'infra.yml apply': ['id-token: write'],
  'infra.yml comment': ['pull-requests: write'],
  'infra.yml plan': ['id-token: write'],
  'promote.yml collect': ['id-token: write', 'packages: read'],
  'promote.yml propose-without-app': ['contents: write', 'pull-requests: write'],
  'release.yml report': ['actions: read', 'security-events: write'],
  'release.yml publish': ['attestations: write', 'id-token: write', 'packages: write'],
  'release.yml propose': ['contents: write', 'pull-requests: write'],
  'rescan.yml pull': ['id-token: write', 'packages: read'],
  'rescan.yml issues': ['issues: write'],
  'scorecard.yml analyze': ['actions: read', 'checks: read', 'issues: read', 'pull-requests: read'],
  'scorecard.yml report': ['actions: read', 'security-events: write'],
};

/** Programs that read what nobody has reviewed, or that were themselves hijacked before. */
const SCANNER =
  /(?<![\w.-])(trivy|scan(-files)?(\.js)?)(?![\w-])|scorecard-action|dependency-review/;
const scans = ({ run = '', uses = '' }) => SCANNER.test(`${run} ${uses}`);

/** What gives a job a credential, besides its permissions. */
const CREDENTIAL = new RegExp(
  [
    'secrets\\.',
    'github\\.token',
    'login-action',
    'amazon-ecr-login',
    'configure-aws-credentials',
    'create-github-app-token',
    '(docker|crane|cosign|skopeo|oras|helm)( auth| registry)? login',
  ].join('|'),
);

const pins = [...read('mise.toml').matchAll(/^"?([\w:./-]+)"? = "\d/gm)].map(([, name]) => name);
/** What mise.toml calls a program; undefined for one that it does not install. */
const pinOf = (tool) => {
  const line = new RegExp(`^ +(?:\\w+ \\| )*${tool}(?: \\| \\w+)*\\) echo '"?([^'"]+)"?' ;;$`, 'm');
  return line.exec(read('checks/require-tool.sh'))?.[1];
};
/** The programs that make targets ask for, with all that they depend on. */
function toolsOf(targets, place) {
  const args = ['--dry-run', '--always-make', ...targets];
  const { status, stdout, stderr } = spawnSync('make', args, { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, `${place}: make ${targets.join(' ')}: ${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('checks/require-tool.sh '))
    .flatMap((line) => line.split(' ').slice(1));
}
const FOLDERS = /^(\.github|checks|deploy|docs|infra|monitoring|runbooks|services)\//;

const writes = ({ permissions = {} }) =>
  Object.values(permissions).some((access) => access === 'write');

for (const workflow of workflows) {
  const { path, name, data, at, comment } = workflow;
  const jobs = jobsOf(workflow);
  const steps = jobs.flatMap((job) =>
    workflow.steps(job.id).map((node) => ({ job, node, step: node.toJSON() })),
  );

  test(`${path}: it starts with nothing, ends in time, and does not run over itself`, () => {
    assert.deepEqual(data.permissions, {}, `${path}: write permissions: {} at the top`);
    assert.ok(data.concurrency?.group, `${path}: write concurrency: with a group`);
    assert.equal(
      typeof data.concurrency['cancel-in-progress'],
      'boolean',
      `${path}: concurrency: say whether a new run ends an old one, cancel-in-progress`,
    );
    for (const trigger of ['pull_request_target', 'workflow_run']) {
      const used = Object.keys(data.on).includes(trigger) || data.on === trigger;
      assert.ok(!used, `${path}: ${trigger} gives the code of strangers our credentials`);
    }
    for (const { data: job, place } of jobs) {
      assert.ok(job.name, `${place}: write a name`);
      assert.ok(job['timeout-minutes'], `${place}: write timeout-minutes`);
      assert.match(job['runs-on'] ?? '', /-\d/, `${place}: runs-on: write a version, not latest`);
      assert.ok(job.permissions, `${place}: write its permissions`);
    }
    for (const { node, step } of steps) assert.ok(step.name, `${at(node)}: write a name`);
  });

  test(`${path}: every action is a commit, and says of which version`, () => {
    for (const { node, step } of steps) {
      if (!step.uses) continue;
      const place = at(node.get('uses', true));
      assert.match(
        step.uses,
        /^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/,
        `${place}: ${step.uses}: write @COMMIT (40 characters) # vX.Y.Z: a tag can be moved`,
      );
      assert.match(
        comment(node.get('uses', true)),
        /^v\d+\.\d+\.\d+$/,
        `${place}: ${step.uses}: write the version behind it: # vX.Y.Z`,
      );
    }
  });

  test(`${path}: every permission has a reason, and is one that its job may have`, () => {
    for (const { id, node, data: job } of jobs) {
      assert.equal(typeof job.permissions, 'object', `${at(node)}: permissions: name each one`);
      const allowed = ['contents: read', ...(GRANTS[`${name} ${id}`] ?? [])];
      for (const { key, keyNode, value } of entries(node.get('permissions'))) {
        const place = `${at(keyNode)}: ${key}: ${value}`;
        assert.ok(comment(keyNode).length > 10, `${place}: write the reason behind it: # to ...`);
        assert.ok(
          allowed.includes(`${key}: ${value}`),
          `${place}: job ${id} may have ${allowed.join(', ')}. If it needs more, add it to GRANTS in checks/workflows.test.js`,
        );
      }
    }
  });

  test(`${path}: no scanner is near a credential`, () => {
    for (const { id, data: job, place } of jobs) {
      // CodeQL reads our own code, and cannot store what it finds in any other way.
      if (!steps.some((entry) => entry.job.id === id && scans(entry.step))) continue;
      assert.ok(!writes(job), `${place} scans, so it may write nothing: hand the result to a job`);
      const registry = job.permissions?.packages;
      assert.equal(registry, undefined, `${place} scans: let another job pull, and hand it over`);
      assert.equal(job.environment, undefined, `${place} scans, so it needs no environment`);
      const found = CREDENTIAL.exec(JSON.stringify({ ...data.env, ...job }))?.[0];
      assert.equal(found, undefined, `${place} scans, and has a credential: ${found}`);
    }
  });

  test(`${path}: a run is one command, without expressions`, () => {
    for (const { node, step } of steps) {
      if (step.run === undefined) continue;
      const place = at(node.get('run', true));
      assert.doesNotMatch(
        step.run,
        /\$\{\{/,
        `${place}: give it by env:, and write "$NAME": an expression becomes part of the program`,
      );
      const bare = step.run.trim().replace(/"[^"]*"|'[^']*'/g, '');
      assert.doesNotMatch(
        bare,
        /[\n;|&`]|\$\(/,
        `${place}: write one command; more belongs into a script of .github/scripts/, with tests`,
      );
    }
  });

  test(`${path}: everything that it names exists`, () => {
    const names = [];
    for (const { node, step } of steps) {
      const place = at(node);
      const words = (step.run ?? '').split(/\s+/).map((word) => word.replace(/^["']|["']$/g, ''));
      if (words[0] === 'make') toolsOf(words.slice(1), place);
      if (words[0] === 'node') names.push([place, words[1]]);
      const values = Object.values(step.with ?? {}).flatMap((value) => String(value).split(/\s+/));
      for (const word of [...words, ...values]) {
        if (FOLDERS.test(word) && !/[$*{]/.test(word)) names.push([place, word]);
      }
    }
    for (const [place, file] of names) {
      assert.ok(existsSync(join(root, file)), `${place}: there is no ${file}`);
    }
    for (const [trigger, filter] of Object.entries(data.on ?? {})) {
      const patterns = [...(filter?.paths ?? []), ...(filter?.['paths-ignore'] ?? [])];
      for (const pattern of patterns) {
        const found = globSync(pattern.replace(/^!/, ''), { cwd: root });
        assert.ok(found.length > 0, `${path}: on.${trigger}: no file is like ${pattern}`);
      }
    }
    const ids = jobs.map(({ id }) => id);
    for (const { data: job, place } of jobs) {
      for (const need of [job.needs ?? []].flat()) {
        assert.ok(ids.includes(need), `${place} needs ${need}, which is no job`);
      }
    }
  });

  // download-artifact puts several artifacts into folders of their names, but one alone into path itself.
  test(`${path}: artifacts lie where they are looked for, one or many`, () => {
    for (const { node, step } of steps) {
      const pattern = step.with?.pattern;
      if (!/^actions\/download-artifact@/.test(step.uses) || !pattern) continue;
      const place = at(node);
      assert.equal(step.with['merge-multiple'], true, `${place}: write merge-multiple: true`);
      const uploads = steps.filter(
        (entry) =>
          /^actions\/upload-artifact@/.test(entry.step.uses) &&
          entry.step.with.name.startsWith(pattern.replace('*', '')),
      );
      assert.ok(uploads.length > 0, `${place}: no artifact is like ${pattern}`);
      for (const { job, node: upload, step: own } of uploads) {
        const folder = `${own.with.path.replace(/\/\*.*/, '')}/${own.with.name}`;
        const runs = steps
          .filter((entry) => entry.job.id === job.id)
          .map((entry) => entry.step.run ?? '')
          .map((run) => run.replace(/\$(\w+)/g, (name, key) => job.data.env?.[key] ?? name));
        assert.ok(
          runs.some((run) => run.includes(`"${folder}"`)),
          `${at(upload)}: let a step write into ${folder}: without a folder of its own, it would lie over others`,
        );
      }
    }
  });

  test(`${path}: programs come from mise.toml, code without a token`, () => {
    for (const { node, step } of steps) {
      const place = at(node);
      if (/^actions\/checkout@/.test(step.uses)) {
        assert.equal(
          step.with?.['persist-credentials'],
          false,
          `${place}: write persist-credentials: false, else the token stays in .git/config`,
        );
      }
      if (/^jdx\/mise-action@/.test(step.uses)) {
        assert.match(String(step.with?.version), /^\d{4}\.\d+\.\d+$/, `${place}: write a version`);
        const args = step.with?.install_args?.trim().split(/\s+/) ?? [];
        assert.ok(args.length > 0, `${place}: write install_args: what the job needs, no more`);
        for (const tool of args) {
          assert.ok(pins.includes(tool), `${place}: mise.toml pins no ${tool}`);
        }
      }
    }
  });

  test(`${path}: a job installs what it runs`, () => {
    for (const { id, place } of jobs) {
      const own = steps.filter((entry) => entry.job.id === id).map(({ step }) => step);
      const installed = own.flatMap((step) => step.with?.install_args?.trim().split(/\s+/) ?? []);
      for (const run of own.flatMap((step) => step.run ?? [])) {
        const [program, ...args] = run.trim().split(/\s+/);
        const needed =
          program === 'make' ? toolsOf(args, place) : [program].filter((name) => pinOf(name));
        for (const tool of needed) {
          const pin = pinOf(tool);
          const there = pin === undefined || installed.includes(pin);
          assert.ok(there, `${place}: \`${run}\` needs ${tool}: add ${pin} to install_args`);
        }
      }
    }
  });

  // Whoever can write to a cache, as any pull request can, would get into what is published.
  const trusted = jobs.some(({ data: job }) => writes(job) || job.environment);
  test(`${path}: ${trusted ? 'nothing comes from a cache' : 'it may use caches'}`, () => {
    if (!trusted) return;
    for (const { node, step } of steps) {
      const place = at(node);
      if (/^jdx\/mise-action@/.test(step.uses)) {
        assert.equal(step.with?.cache, false, `${place}: write cache: false`);
      }
      if (/^docker\/setup-buildx-action@/.test(step.uses)) {
        assert.equal(step.with?.['cache-binary'], false, `${place}: write cache-binary: false`);
      }
      assert.doesNotMatch(
        JSON.stringify(step),
        /actions\/cache|"cache":"|cache-from|cache-to|type=gha/,
        `${place}: no cache in a workflow that publishes or holds a credential`,
      );
    }
  });

  test(`${path}: who gets a cloud role or a signature is named by its environment`, () => {
    for (const { data: job, place } of jobs) {
      if (job.permissions?.['id-token'] !== 'write') continue;
      assert.ok(
        job.environment,
        `${place} asks for an identity: write environment:, of which its subject has the name`,
      );
    }
  });
}

test('what runs on a pull request gets no environment but that of a plan', () => {
  for (const { data, ...workflow } of workflows) {
    if (!('pull_request' in data.on)) continue;
    for (const job of jobsOf({ data, ...workflow })) {
      if (/github\.ref == 'refs\/heads\/main'/.test(job.data.if ?? '')) continue;
      for (const name of environmentsOf(job)) {
        assert.match(
          name,
          /^plan-/,
          `${job.place}: the code is not reviewed yet: write if: github.ref == 'refs/heads/main'`,
        );
      }
    }
  }
});

test('nothing is applied that nobody has approved', () => {
  const applying = workflows
    .flatMap(jobsOf)
    .filter(({ data }) => JSON.stringify(data).includes('apply-infra.js'));
  assert.equal(applying.length, 1, 'one job runs .github/scripts/apply-infra.js');
  const [{ data, place, ...job }] = applying;
  for (const name of environmentsOf({ data, ...job })) {
    assert.match(name, /^apply-/, `${place}: write an environment that make github-setup protects`);
  }
  assert.equal(data.strategy['max-parallel'], 1, `${place}: one environment after the other`);
});

test('each action is at one commit, and mise at one version', () => {
  const seen = new Map();
  for (const { text, data, path } of workflows) {
    const found = [...text.matchAll(/uses: ([\w.-]+\/[\w.-]+)\S*@(\w+)/g)].map((match) =>
      match.slice(1),
    );
    const steps = Object.values(data.jobs).flatMap((job) => job.steps ?? []);
    const mise = steps
      .filter(({ uses }) => /^jdx\/mise-action@/.test(uses))
      .map((step) => ['mise', step.with?.version]);
    for (const [what, pin] of [...found, ...mise]) {
      const before = seen.get(what) ?? { pin, path };
      assert.equal(pin, before.pin, `${path}: ${what} is at another version in ${before.path}`);
      seen.set(what, before);
    }
  }
});

test('every permission that may be given is for a job that exists', () => {
  const jobs = workflows.flatMap((workflow) =>
    jobsOf(workflow).map(({ id }) => `${workflow.name} ${id}`),
  );
  const left = Object.keys(GRANTS).filter((job) => !jobs.includes(job));
  assert.deepEqual(left, [], 'remove these from GRANTS in checks/workflows.test.js');
});

test('docs/permissions.md tells what workflows may do', () => {
  const remedy = 'run `node checks/lib/workflows.js`, which writes the table';
  assert.equal(read('docs/permissions.md'), permissionsDocument(), remedy);
});

test('the workflow that signs is the one that the clusters trust', () => {
  const policy = read('deploy/platform-config/base/image-signatures.yaml');
  const { issuer, subject } = parse(policy).spec.attestors[0].cosign.keyless.identities[0];
  assert.equal(issuer, 'https://token.actions.githubusercontent.com');
  const [, repository, file, branch] =
    /^(https:\/\/github\.com\/[^/]+\/[^/]+)\/(\.github\/workflows\/[^@]+)@refs\/heads\/(.+)$/.exec(
      subject,
    ) ?? [];
  for (const environment of environments) {
    assert.equal(
      `${repository}.git`,
      factsOf(environment).gitRepository,
      `image-signatures.yaml trusts ${subject}; facts.yaml of ${environment} names another repository`,
    );
  }
  const signing = workflows.filter(({ text }) => /publish\.js|cosign sign/.test(text));
  assert.deepEqual(
    signing.map(({ path }) => path),
    [file],
    'image-signatures.yaml must name the one workflow that runs .github/scripts/publish.js',
  );
  const [{ data }] = signing;
  assert.deepEqual(data.on.push?.branches, [branch], `${file}: on.push.branches must be ${branch}`);
});

test('images can be promoted between all environments', () => {
  const { data, path } = workflows.find(({ name }) => name === 'promote.yml');
  const { from, to } = data.on.workflow_dispatch.inputs;
  assert.deepEqual(
    [...new Set([...from.options, ...to.options])].sort(),
    environments.toSorted(),
    `${path}: the options of from and to must be the folders of deploy/environments`,
  );
});

test('roles in AWS trust the environments whose jobs ask for one, and no others', () => {
  const asking = workflows
    .flatMap(jobsOf)
    .filter(({ data }) => JSON.stringify(data).includes('role-to-assume'))
    .flatMap(environmentsOf);
  const file = 'infra/bootstrap/github.tf';
  const trusted = [...read(file).matchAll(/^ +environments += \[(.+)\]$/gm)]
    .flatMap(([, list]) => [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name))
    .flatMap((name) => environments.map((own) => name.replace(/\$\{name\}/, own)));
  assert.deepEqual(
    [...new Set(trusted)].sort(),
    [...new Set(asking)].sort(),
    `${file}: the roles' environments must be those of .github/workflows`,
  );
});

test('Dependabot looks after every folder that depends on something', () => {
  const { updates } = parse(read('.github/dependabot.yml'));
  const own = (path) => path.endsWith('node_modules') || path.endsWith('.terraform');
  const folders = (pattern, holds = () => true) =>
    globSync(pattern, { cwd: root, exclude: own }).filter(holds).map(dirname);
  const wanted = {
    npm: folders('**/package-lock.json'),
    docker: folders('**/Dockerfile'),
    helm: folders('**/Chart.yaml', (file) => parse(read(file)).dependencies),
    'github-actions': ['.'],
    terraform: folders('infra/**/*.tf', (file) => !file.includes('/tests/')),
  };
  for (const [ecosystem, needed] of Object.entries(wanted)) {
    const found = updates
      .filter((entry) => entry['package-ecosystem'] === ecosystem)
      .flatMap(({ directory, directories = [directory] }) => directories)
      .flatMap((pattern) =>
        pattern === '/' ? '.' : globSync(pattern.replace(/^\//, ''), { cwd: root }),
      )
      .filter((path) => statSync(join(root, path)).isDirectory());
    const missing = needed.filter((folder) => !found.includes(folder));
    assert.deepEqual(missing, [], `.github/dependabot.yml: ${ecosystem} leaves these out`);
    const idle = found.filter((folder) => !needed.includes(folder));
    assert.deepEqual(idle, [], `.github/dependabot.yml: ${ecosystem} has nothing to do in these`);
  }
  for (const entry of updates) {
    const name = entry['package-ecosystem'];
    assert.ok(wanted[name], `.github/dependabot.yml: ${name}: add it to checks/workflows.test.js`);
    assert.ok(
      entry.cooldown?.['default-days'] >= 7,
      `.github/dependabot.yml: ${name}: write cooldown: {default-days: 7}, or more`,
    );
    assert.ok(entry.groups, `.github/dependabot.yml: ${name}: write groups`);
  }
});
