// Scans the files of this repository, with the rules that Trivy brings: what configures containers and
// the cloud (the manifests as Argo CD applies them in each environment, the Dockerfiles, infra/), and
// all files for secrets. Waivers are in .trivyignore.yaml; what is so by intention, below.
// Exit code: 0 when nothing is found, 1 when something is, 2 when it could not be scanned.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { environments } from '../../checks/lib/facts.js';
import { render } from '../../checks/lib/render.js';
import { root, services } from '../../checks/lib/repository.js';

/** Rules that we do not follow, and why. */
const NOT_FOLLOWED = {
  'AWS-0089': 'no log of the bucket of state, which would need another bucket; see CloudTrail',
  'DS-0026': 'no HEALTHCHECK: Kubernetes asks the probes, and the image has no shell to ask with',
  'KSV-0011': 'no limit for CPU: it slows answers down while the node is idle',
  // Trivy judges each object alone. Both stand in deploy/policies/namespaces/apps.yaml.
  'KSV-0039': 'the LimitRange of a namespace is an object of its own',
  'KSV-0040': 'the ResourceQuota of a namespace is an object of its own',
};

/** Writes what is scanned below a folder, under the paths that it has in the repository. */
function collect(folder) {
  const write = (path, text) => {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const environment of environments) {
    for (const { source, text } of render(environment)) {
      // Trivy knows no Rollouts. Their pods are like those of a Deployment.
      const rollout = /^apiVersion: argoproj\.io\/\w+\nkind: Rollout$/gm;
      write(`${source}.yaml`, text.replace(rollout, 'apiVersion: apps/v1\nkind: Deployment'));
    }
  }
  for (const service of services) {
    const path = `services/${service}/Dockerfile`;
    write(path, readFileSync(join(root, path)));
  }
  const infra = join(root, 'infra');
  const filter = (path) => !path.endsWith('/.terraform');
  if (existsSync(infra)) cpSync(infra, join(folder, 'infra'), { recursive: true, filter });
}

/** What Trivy finds below a folder, of one kind: misconfig or secret. */
function scan(folder, kind) {
  const args = [
    'filesystem',
    `--scanners=${kind}`,
    '--format=json',
    `--ignorefile=${join(root, '.trivyignore.yaml')}`,
    '--skip-dirs=**/node_modules',
    '--skip-dirs=build',
    // The rules that came with the program, which is pinned.
    '--skip-check-update',
    '--skip-version-check',
    '--disable-telemetry',
    '--quiet',
    '.',
  ];
  const options = { cwd: folder, encoding: 'utf8', maxBuffer: Number.POSITIVE_INFINITY };
  const { status, error, stdout, stderr } = spawnSync('trivy', args, options);
  if (error) throw new Error(`trivy could not be started: ${error.message}`);
  if (status !== 0) throw new Error(`trivy ended with ${status}\n${stderr}`);
  const { Results = [] } = JSON.parse(stdout);
  return Results.flatMap(({ Target, Misconfigurations = [], Secrets = [] }) => [
    ...Misconfigurations.map(({ ID, Severity, CauseMetadata, Message, PrimaryURL }) => ({
      id: ID,
      text: `${Severity} ${ID} ${Target}:${CauseMetadata?.StartLine ?? 1}: ${Message}; ${PrimaryURL}`,
    })),
    ...Secrets.map(({ RuleID, Severity, StartLine, Title }) => ({
      id: RuleID,
      text: `${Severity} ${RuleID} ${Target}:${StartLine}: ${Title}: revoke it, then remove it`,
    })),
  ]);
}

function main() {
  const folder = mkdtempSync(join(tmpdir(), 'scan-files-'));
  try {
    collect(folder);
    const found = [...scan(folder, 'misconfig'), ...scan(root, 'secret')];
    const ids = new Set(found.map(({ id }) => id));
    for (const [id, reason] of Object.entries(NOT_FOLLOWED)) {
      console.log(`${ids.has(id) ? 'not followed' : 'no longer broken'}: ${id}: ${reason}`);
    }
    const stops = found.filter(({ id }) => !NOT_FOLLOWED[id]);
    for (const { text } of stops) console.log(text);
    console.log(stops.length > 0 ? 'docs/findings.md tells what to do' : 'nothing was found');
    process.exitCode = stops.length > 0 ? 1 : 0;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
