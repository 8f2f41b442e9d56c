// What Argo CD applies in an environment. Run as a program: render.js ENV prints all of our own
// files, render.js ENV --chart NAME a chart of deploy/platform/ with its dependency.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { factsOf, unknownFacts } from './facts.js';
import { command, NO_DIGEST, read, releaseFile, root } from './repository.js';

/** The names of all services that are deployed: the folders of deploy/apps/. */
export const apps = readdirSync(join(root, 'deploy/apps'));

const CHART = 'deploy/charts/service';

function run(command, args) {
  try {
    return execFileSync(command, args, {
      cwd: root,
      encoding: 'utf8',
      // Argo CD's chart alone renders to more than the megabyte that is the default.
      maxBuffer: Number.POSITIVE_INFINITY,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stderr || error.message}`);
  }
}

const build = (folder) => run('kustomize', ['build', folder]);

/** The digest that an environment runs of a service. */
export const digestOf = (app, environment) =>
  parse(read(releaseFile(app, environment))).image.digest;

/** What Argo CD applies of one service in an environment. */
export function renderApp(app, environment) {
  const overlay = `deploy/apps/${app}/overlays/${environment}`;
  if (!existsSync(join(root, CHART))) return build(overlay);
  const files = [
    `deploy/apps/${app}/values.yaml`,
    `${overlay}/values.yaml`,
    releaseFile(app, environment),
    `deploy/environments/${environment}/facts.yaml`,
  ].flatMap((file) => ['--values', file]);
  return run('helm', ['template', app, CHART, '--namespace', 'apps', ...files]);
}

/**
 * Everything that Argo CD applies from our own files, one entry for each of its Applications:
 * `source` is a folder of this repository, `text` its YAML, `missing` what has to come first.
 */
export function render(environment) {
  factsOf(environment);
  const folders = ['deploy/argocd', 'deploy/policies', 'deploy/platform-config', 'monitoring'];
  const parts = folders.map((folder) => {
    const source = `${folder}/overlays/${environment}`;
    return { source, text: build(source) };
  });
  const flows = globSync('deploy/flows/*.yaml', { cwd: root }).sort();
  parts.push({ source: 'deploy/flows', text: flows.map((file) => read(file)).join('---\n') });
  for (const app of apps) {
    const released = digestOf(app, environment) !== NO_DIGEST;
    parts.push({
      app,
      source: `deploy/apps/${app}/overlays/${environment}`,
      text: renderApp(app, environment),
      missing: released ? undefined : `${app} has not been released to ${environment}`,
    });
  }
  return parts;
}

/** The objects of a YAML text. */
export function objectsOf(text) {
  return parseAllDocuments(text)
    .map((document) => document.toJS())
    .filter((object) => object !== null);
}

/**
 * A chart of deploy/platform/ with the chart that it depends on, as Argo CD renders it in a cluster
 * that has no platform yet; where it has, some charts add monitors of themselves. The other chart is
 * fetched, unless the folder's charts/ holds it.
 */
export function renderChart(name, environment) {
  const folder = `deploy/platform/${name}`;
  if (!existsSync(join(root, folder, 'Chart.yaml'))) throw new Error(`${folder}: no such chart`);
  const { namespace } = parse(read(folder, 'Chart.yaml')).annotations;
  const overlay = `${folder}/overlays/${environment}/values.yaml`;
  const scratch = mkdtempSync(join(tmpdir(), 'chart-'));
  try {
    cpSync(join(root, folder), scratch, { recursive: true });
    if (!existsSync(join(scratch, 'charts'))) run('helm', ['dependency', 'build', scratch]);
    const files = [`deploy/environments/${environment}/facts.yaml`, overlay]
      .filter((file) => existsSync(join(root, file)))
      .flatMap((file) => ['--values', file]);
    const args = ['template', name, scratch, '--namespace', namespace, '--include-crds', ...files];
    return run('helm', args);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { chart: { type: 'string' } },
  });
  const [environment] = positionals;
  const facts = factsOf(environment);
  if (values.chart) {
    process.stdout.write(renderChart(values.chart, environment));
    return;
  }
  for (const { source, text, missing } of render(environment)) {
    const note = missing ? ` (${missing}: Argo CD leaves it out)` : '';
    process.stdout.write(`---\n# From ${source}${note}\n${text}`);
    if (missing)
      console.error(`note: ${missing}: the release workflow writes ${source}/release.yaml`);
  }
  for (const fact of unknownFacts(facts)) {
    console.error(`note: ${fact} is not known yet: make env-facts ENV=${environment}`);
  }
}

if (import.meta.main) command(main);
