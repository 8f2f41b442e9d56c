// Scans what configures containers and the cloud by Trivy's own rules: the manifests as Argo CD applies
// them in each environment, the Dockerfiles, and infra/. Waivers are in .trivyignore.yaml; what is so by
// intention, in DESIGN below.
// Exit code: 0 when nothing is found, 1 when something is, 2 when it could not be scanned.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { environments } from '../../checks/lib/facts.js';
import { render } from '../../checks/lib/render.js';
import { root, services } from '../../checks/lib/repository.js';
import { summarize } from './lib/actions.js';

/** What Trivy would have otherwise, and why it is so: finding, files, reason. */
const DESIGN = [];

const SEVERITIES = 'LOW,MEDIUM,HIGH,CRITICAL';

/** Writes what is scanned below a folder, under the paths that it has in the repository. */
function collect(folder) {
  const write = (path, text) => {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const environment of environments) {
    for (const { source, text } of render(environment)) {
      // Trivy knows no Rollouts. Their pods are like those of a Deployment.
      const known = text.replace(/^apiVersion: argoproj\.io\/\w+\nkind: Rollout$/gm, 'apiVersion: apps/v1\nkind: Deployment');
      write(`${source}.yaml`, known);
    }
  }
  for (const service of services) {
    const path = `services/${service}/Dockerfile`;
    write(path, readFileSync(join(root, path)));
  }
  const infra = join(root, 'infra');
  const own = (path) => !path.endsWith('/.terraform');
  if (existsSync(infra)) cpSync(infra, join(folder, 'infra'), { recursive: true, filter: own });
}

function scan(folder) {
  const args = [
    'config',
    '--format=json',
    `--severity=${SEVERITIES}`,
    `--ignorefile=${join(root, '.trivyignore.yaml')}`,
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
  return Results.flatMap(({ Target, Misconfigurations = [] }) =>
    Misconfigurations.map((found) => ({
      id: found.ID,
      severity: found.Severity,
      where: `${Target}:${found.CauseMetadata?.StartLine ?? 1}`,
      message: found.Message,
      url: found.PrimaryURL,
    })),
  );
}

const intended = ({ id, where }) => DESIGN.some((entry) => entry.id === id && entry.files.test(where));

function main() {
  const folder = mkdtempSync(join(tmpdir(), 'scan-config-'));
  try {
    collect(folder);
    const findings = scan(folder).filter((finding) => !intended(finding));
    for (const { severity, id, where, message, url } of findings) {
      console.log(`${severity} ${id} ${where}: ${message} ${url}`);
    }
    process.exitCode = findings.length > 0 ? 1 : 0;
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
