// What `make doctor` asks others: newer programs, the template, GitHub, AWS. It only reads, it waits for
// nobody long, and where there is no network or no login it says so.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { read, root } from '../lib/repository.js';
import { compareVersions } from '../lib/versions.js';
import { ask, fail, isHere, ok, skip, warn } from './ask.js';
import { isSetUp } from './here.js';

// ---------------------------------------------------------------------------- newer programs

const GITHUB = process.env.GITHUB_SERVER_URL ?? 'https://github.com';
const RELEASE_MS = 5000;

/** The version of a repository's latest release: the page leads to its tag, and needs no login. */
async function latestOf(repository) {
  const response = await fetch(`${GITHUB}/${repository}/releases/latest`, {
    method: 'HEAD',
    redirect: 'manual',
    signal: AbortSignal.timeout(RELEASE_MS),
  });
  const tag = decodeURIComponent(response.headers.get('location')?.split('/tag/')[1] ?? '');
  // Some repositories release several programs: the name is before the version.
  const [, program, version] = /^(?:([\w-]+)\/)?v?(\d+\.\d+\.\d+)$/.exec(tag) ?? [];
  return program === undefined || repository.endsWith(`/${program}`) ? version : undefined;
}

/** The programs of mise.toml that Dependabot does not see, but for kubectl: it follows the clusters. */
export async function pins() {
  const pinned = [...read('mise.toml').matchAll(/^"aqua:([^/]+\/[^/"]+)" = "(\d+\.\d+\.\d+)"/gm)];
  const asked = await Promise.all(
    pinned.map(async ([, repository, version]) => {
      try {
        return { repository, version, latest: await latestOf(repository) };
      } catch {
        return { repository, version, silent: true };
      }
    }),
  );
  if (asked.every(({ silent }) => silent)) {
    return [skip(`not asked for newer programs: ${GITHUB} does not answer`)];
  }
  const known = asked.filter(({ latest }) => latest);
  const behind = known.filter(({ latest, version }) => compareVersions(latest, version) > 0);
  const found = behind.map(({ repository, version, latest }) =>
    warn(
      `${repository} is at ${latest}; mise.toml pins ${version}`,
      `write ${latest} there, then mise install && make check`,
    ),
  );
  const unknown = asked.length - known.length;
  if (unknown > 0) found.push(skip(`${unknown} of ${asked.length} programs did not say`));
  const good = known.length - behind.length;
  return [
    ok(`${good} programs of mise.toml are the newest; Dependabot sees to the rest`),
    ...found,
  ];
}

// ---------------------------------------------------------------------------- the template

const QUIET_GIT = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_SSH_COMMAND: process.env.GIT_SSH_COMMAND ?? 'ssh -o BatchMode=yes -o ConnectTimeout=5',
};
const REMOTE_MS = 8000;

/** An address without a password in it. */
const shown = (address) => address.replace(/\/\/[^/@]*@/, '//');

export async function template() {
  if (!existsSync(join(root, '.cruft.json'))) {
    return [
      skip(
        'not made with cruft, so changes of the template do not come as updates',
        'pipx run cruft link ADDRESS-OF-THE-TEMPLATE',
      ),
    ];
  }
  const { template: address, commit } = JSON.parse(read('.cruft.json'));
  const { status, stdout } = await ask('git', ['ls-remote', address, 'HEAD', 'refs/tags/v*'], {
    env: QUIET_GIT,
    ms: REMOTE_MS,
  });
  const from = shown(address);
  if (status !== 0) return [skip(`not asked for a newer one: ${from} does not answer`)];
  const refs = new Map(stdout.split('\n').map((line) => line.split('\t').reverse()));
  // A tag may be an object of its own: ^{} is the commit that it stands for.
  const commitOf = (tag) => refs.get(`refs/tags/${tag}^{}`) ?? refs.get(`refs/tags/${tag}`);
  const releases = [...refs.keys()]
    .map((ref) => /^refs\/tags\/(v\d+\.\d+\.\d+)$/.exec(ref)?.[1])
    .filter(Boolean)
    .sort((one, other) => compareVersions(other, one));
  const [newest = 'HEAD'] = releases;
  if ([commitOf(newest), refs.get('HEAD')].includes(commit)) return [ok(`as ${from} is now`)];
  const own = releases.find((tag) => commitOf(tag) === commit) ?? commit.slice(0, 12);
  const latest = releases.length > 0 ? newest : refs.get('HEAD')?.slice(0, 12);
  return [warn(`${from} is at ${latest}; this repository at ${own}`, 'make update')];
}

// ---------------------------------------------------------------------------- GitHub

const GITHUB_MS = 60_000;
const count = (text, pattern) => text.match(pattern)?.length ?? 0;

export async function github() {
  if (!(await isHere('gh'))) return [skip('not asked: gh is missing', 'mise install')];
  // It asks GitHub whether the login is good. What it says holds a part of the token.
  const { status: loggedIn } = await ask('gh', ['auth', 'status'], { ms: 10_000 });
  if (loggedIn !== 0) return [skip('not asked: log in, or go online', 'gh auth login')];
  if (!isSetUp) return [skip('not asked: the dependencies are not installed', 'make setup')];
  const { status, stdout, stderr } = await ask('node', ['.github/scripts/github-setup.js'], {
    cwd: root,
    ms: GITHUB_MS,
  });
  if (status === undefined) {
    return [skip(`GitHub did not say all within ${GITHUB_MS / 1000} s`, 'make github-setup')];
  }
  const failing = /^This must hold, and does not: (.+)$/m.exec(stderr)?.[1];
  if (status !== 0 && !failing) {
    return [skip(`not asked: ${stderr.trim().split('\n').at(-1)}`, 'docs/github.md')];
  }
  const found = failing ? [fail(`must hold, and does not: ${failing}`, 'make github-setup')] : [];
  const changes = count(stdout, /^ {2}would change/gm);
  if (changes > 0) {
    found.push(
      warn(
        `${changes} settings are not as docs/github.md says; make github-setup lists them`,
        'make github-setup APPLY=yes',
      ),
    );
  }
  for (const [, line] of stdout.matchAll(/^ {2}- (.+)$/gm)) {
    const [, text, fix] = /^(.*?)(?:[:;] ((?:gh|make) .*))?$/.exec(line);
    found.push(warn(text, fix ?? 'docs/github.md'));
  }
  return found.length > 0 ? found : [ok('the settings are as docs/github.md says')];
}

// ---------------------------------------------------------------------------- AWS

/** One attempt each, and no question to a metadata service that is not there. */
const AWS = { AWS_EC2_METADATA_DISABLED: 'true', AWS_MAX_ATTEMPTS: '1', AWS_PAGER: '' };
const AWS_MS = 10_000;

async function aws(...args) {
  const limits = ['--cli-connect-timeout', '4', '--cli-read-timeout', '8', '--output', 'text'];
  const { status, stdout, stderr } = await ask('aws', [...args, ...limits], {
    env: AWS,
    ms: AWS_MS,
  });
  return { ok: status === 0, said: stdout.trim(), error: /\((\w+)\)/.exec(stderr)?.[1] };
}

/** The bucket of an environment's state: make bootstrap-aws writes it down. */
function bucketOf(environment) {
  const file = `infra/envs/${environment}/state.tfbackend`;
  return existsSync(join(root, file)) ? /^bucket = "(.+)"$/m.exec(read(file))?.[1] : undefined;
}

async function inAws(environment, { cluster, region }, account, kubernetes) {
  const bucket = bucketOf(environment);
  if (!bucket) {
    return [
      skip(
        `${environment}: not asked: no infra/envs/${environment}/state.tfbackend here`,
        'make bootstrap-aws writes it, also a second time',
      ),
    ];
  }
  const [, own] = /-(\d{12})$/.exec(bucket) ?? [];
  if (own !== account) {
    return [
      skip(`${environment}: not asked: it is in account ${own}, and this login in ${account}`),
    ];
  }
  const found = [];
  const head = await aws('s3api', 'head-bucket', '--bucket', bucket);
  if (!head.ok) {
    const text = `${environment}: ${bucket}, with Terraform's state, does not let this login in`;
    found.push(fail(`${text} (${head.error ?? 'no answer'})`, 'make bootstrap-aws'));
  }
  const described = await aws(
    ...['eks', 'describe-cluster', '--name', cluster, '--region', region],
    ...['--query', 'cluster.[status, version]'],
  );
  const [status, version] = described.said.split(/\s+/);
  const plan = `make infra-plan infra-apply ENV=${environment}`;
  if (described.error === 'ResourceNotFoundException') {
    found.push(skip(`${environment}: there is no cluster ${cluster} yet`, plan));
  } else if (!described.ok) {
    const text = `${environment}: AWS does not tell of ${cluster}`;
    found.push(warn(`${text} (${described.error ?? 'no answer'})`, 'docs/infra.md tells who may'));
  } else if (version !== kubernetes) {
    const text = `${environment}: ${cluster} runs Kubernetes ${version}; versions.tf says`;
    found.push(warn(`${text} ${kubernetes}`, plan));
  } else if (status !== 'ACTIVE') {
    found.push(warn(`${environment}: ${cluster} is ${status}`, 'wait, and look again'));
  }
  return found.length > 0
    ? found
    : [ok(`${environment}: ${cluster} runs Kubernetes ${version}; its state is in ${bucket}`)];
}

export async function amazon() {
  if (!(await isHere('aws'))) return [skip('not asked: aws is missing')];
  if (!isSetUp) return [skip('not asked: the dependencies are not installed', 'make setup')];
  const caller = await aws('sts', 'get-caller-identity', '--query', 'Account');
  if (!caller.ok)
    return [skip('not asked: log in, or go online', 'aws sso login, or aws configure')];
  const { environments, factsOf } = await import('../lib/facts.js');
  const versions = read('infra/modules/environment/versions.tf');
  const kubernetes = /^ {2}kubernetes_version = "(.+)"$/m.exec(versions)?.[1];
  const all = environments.map((environment) =>
    inAws(environment, factsOf(environment), caller.said, kubernetes),
  );
  return (await Promise.all(all)).flat();
}
