// What `make doctor` can say without asking anybody: programs, support, waivers, facts, this machine.
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { read, root, services } from '../lib/repository.js';
import { ask, fail, isHere, ok, skip, warn } from './ask.js';

const DAY_MS = 86_400_000;
const daysUntil = (day) => Math.ceil((Date.parse(day) - Date.now()) / DAY_MS);
const plural = (count, one) => `${count} ${one}${count === 1 ? '' : 's'}`;

/** Whether `make setup` has been run: some parts need a package. */
export const isSetUp = existsSync(join(root, 'checks/node_modules/yaml'));
const notSetUp = skip('not looked at: the dependencies are not installed', 'make setup');

// ---------------------------------------------------------------------------- programs

/** Programs that `make check` does without, and what needs each. */
const OTHERS = {
  prometheus: 'make dev',
  alertmanager: 'make dev',
  mailpit: 'make dev',
  docker: 'make image, and Grafana in make dev',
  trivy: 'make scan-files',
  kubectl: 'make bootstrap',
  gh: 'make github-setup',
  aws: 'make bootstrap-aws',
};

/** Each program against mise.toml; `needed` are those of `make check`. */
export async function programs(needed) {
  const all = [...needed, ...Object.keys(OTHERS)];
  const { status, stderr } = await ask('checks/require-tool.sh', all, { cwd: root, ms: 20_000 });
  const found = [];
  for (const line of stderr.split('\n').filter(Boolean)) {
    const [, tool, remedy] = /^(\S+) is missing: (.+)$/.exec(line) ?? [];
    if (!tool) {
      const text = line.replace('warning: ', '');
      found.push(warn(text, 'mise install, or put that version on PATH yourself'));
    } else if (needed.includes(tool)) {
      found.push(fail(`${tool} is missing; make check needs it`, remedy));
    } else {
      found.push(warn(`${tool} is missing; needed by ${OTHERS[tool]}`, remedy));
    }
  }
  if (status === undefined) found.push(warn('not all programs said their version within 20 s'));
  const good = all.length - found.length;
  return good > 0 && status !== undefined
    ? [ok(`${plural(good, 'program')} as mise.toml pins them`), ...found]
    : found;
}

// ---------------------------------------------------------------------------- support

/** When this table and the one of Kubernetes in versions.tf were last compared with their sources. */
const LOOKED_AT = '2026-11-24';
const VERSIONS = 'infra/modules/environment/versions.tf';
/** Until when a major version of Node.js gets security fixes: https://github.com/nodejs/Release. */
const NODE = { 24: '2028-04-30' };
const WARN_DAYS = 90;

function supportOf(what, end, fix) {
  if (!end) return warn(`${what}: no table here says until when it is supported`, fix);
  const days = daysUntil(end);
  if (days <= 0) return fail(`${what}: support ended on ${end}`, fix);
  if (days <= WARN_DAYS) return warn(`${what}: support ends on ${end}, in ${days} days`, fix);
  return ok(`${what} is supported until ${end}`);
}

export function support() {
  const node = /^node = "(\d+)\./m.exec(read('mise.toml'))?.[1];
  const versions = read(VERSIONS);
  const kubernetes = /^ {2}kubernetes_version = "(.+)"$/m.exec(versions)?.[1];
  const end = new RegExp(`^ {4}"${kubernetes}" = "(.+)"$`, 'm').exec(versions)?.[1];
  const found = [
    supportOf(
      `Node.js ${node}`,
      NODE[node],
      'take the next even version: mise.toml and FROM in services/*/Dockerfile; make check finds the rest',
    ),
    supportOf(
      `Kubernetes ${kubernetes} on EKS`,
      end,
      `upgrade: docs/infra.md, "Upgrade Kubernetes"`,
    ),
  ];
  const age = -daysUntil(LOOKED_AT);
  if (age > 365) {
    found.push(
      warn(
        `these dates were last compared with their sources on ${LOOKED_AT}`,
        `do so, in checks/doctor/here.js and ${VERSIONS}, which name them`,
      ),
    );
  }
  return found;
}

// ---------------------------------------------------------------------------- waivers

const WAIVERS = '.trivyignore.yaml';
const WAIVER_DAYS = 14;

export async function waivers() {
  if (!isSetUp) return [notSetUp];
  const { parse } = await import('yaml');
  const all = Object.values(parse(read(WAIVERS)) ?? {}).flatMap((some) => some ?? []);
  const found = all.flatMap(({ id, expired_at: until }) => {
    const days = daysUntil(until);
    const fix = `mend the finding, or judge it anew in ${WAIVERS}: docs/findings.md`;
    if (Number.isNaN(days)) return fail(`${id}: ${until} is no day`, 'make contracts ONLY=waivers');
    if (days <= 0) return fail(`${id}: the waiver expired on ${until}`, fix);
    if (days <= WAIVER_DAYS) return warn(`${id}: the waiver expires on ${until}`, fix);
    return [];
  });
  const good = all.length - found.length;
  return good > 0 || all.length === 0
    ? [ok(all.length === 0 ? 'no waivers' : `${plural(good, 'waiver')} with time left`), ...found]
    : found;
}

// ---------------------------------------------------------------------------- facts

const ALERTMANAGER = 'monitoring/alertmanager/alertmanager.yaml';

export async function facts() {
  if (!isSetUp) return [notSetUp];
  const { brokenRules, environments, factsOf, unknownFacts } = await import('../lib/facts.js');
  const found = environments.flatMap((environment) => {
    const file = `deploy/environments/${environment}/facts.yaml`;
    const values = factsOf(environment);
    const broken = brokenRules(values).map((line) => fail(`${environment}: ${line}`, file));
    const unknown = unknownFacts(values);
    if (unknown.length > 0) {
      broken.push(
        warn(
          `${environment}: not known yet: ${unknown.join(', ')}`,
          `make env-facts ENV=${environment}, when Terraform has made the cluster: docs/infra.md`,
        ),
      );
    }
    return broken.length > 0 ? broken : [ok(`${environment}: all known`)];
  });
  const address = /^ {2}smtp_from: "(.+)"$/m.exec(read(ALERTMANAGER))?.[1];
  if (/@example\.(com|org|net)$/.test(address)) {
    found.push(
      warn(`alerts go to ${address}, which is nobody's`, `write your own into ${ALERTMANAGER}`),
    );
  }
  return found;
}

// ---------------------------------------------------------------------------- this machine

const LEAST_BYTES = 2 * 2 ** 30;

const git = (...args) => ask('git', args, { cwd: root, ms: 5000 });

async function repository() {
  const { status, stdout } = await git('rev-parse', '--git-path', 'hooks/pre-commit');
  if (status === undefined) return [fail('git is missing', 'install git: https://git-scm.com')];
  if (status !== 0) {
    const start = "git init -b main && git add . && git commit -m 'Start from Slipway'";
    return [warn('no git repository; images are named and dated by their commit', start)];
  }
  const found = [];
  if ((await git('rev-parse', '--verify', '--quiet', 'HEAD')).status !== 0) {
    found.push(
      warn('nothing is committed yet; make image needs a commit', 'git add . && git commit'),
    );
  }
  if ((await git('var', 'GIT_AUTHOR_IDENT')).status !== 0) {
    found.push(
      warn(
        'git does not know who you are',
        'git config --global user.name NAME && git config --global user.email ADDRESS',
      ),
    );
  }
  if (!existsSync(join(root, stdout.trim()))) {
    found.push(
      skip('nothing is checked before a commit; CI checks it later', 'pre-commit install'),
    );
  }
  return found.length > 0 ? found : [ok('git, with an identity and the hook')];
}

/** As make sees it: node_modules must be newer than the lockfile. */
function dependencies() {
  const stale = [...services.map((name) => `services/${name}`), 'checks'].filter((folder) => {
    const there = join(root, folder, 'node_modules');
    return (
      !existsSync(there) ||
      statSync(there).mtimeMs < statSync(join(root, folder, 'package-lock.json')).mtimeMs
    );
  });
  if (stale.length === 0) return [ok('dependencies as their lockfiles say')];
  return [
    warn(`dependencies are missing or older than the lockfile: ${stale.join(', ')}`, 'make setup'),
  ];
}

/** The ports of `make dev`, for the service that it starts first. */
async function ports() {
  const [service] = services;
  if (!service || !existsSync(join(root, `services/${service}/node_modules`))) return [];
  const { portsOf } = await import('../../monitoring/dev/ports.js');
  const { freePorts } = await import('../../monitoring/dev/processes.js');
  const wanted = await portsOf(service);
  const taken = [];
  for (const [name, port] of Object.entries(wanted)) {
    await freePorts({ [name]: port }).catch(() => taken.push([name, port]));
  }
  if (taken.length === 0) return [ok(`the ports of make dev are free`)];
  return taken.map(([name, port]) =>
    warn(
      `port ${port} is taken; make dev NAME=${service} wants it`,
      `end what listens there (make dev itself?), or set ${name}=0 for any`,
    ),
  );
}

async function docker() {
  if (!(await isHere('docker'))) return [];
  const { status } = await ask('docker', ['version'], { ms: 5000 });
  if (status === 0) return [ok('Docker answers')];
  return [
    warn('Docker does not answer; make image needs it', 'start it: docker version says more'),
  ];
}

function disk() {
  const { bavail, bsize } = statfsSync(root);
  const free = bavail * bsize;
  if (free >= LEAST_BYTES) return [];
  return [warn(`${Math.round(free / 2 ** 20)} MiB are free on this disk`, 'free some GiB')];
}

export async function machine() {
  const parts = [repository(), dependencies(), ports(), docker(), disk()];
  return (await Promise.all(parts)).flat();
}
