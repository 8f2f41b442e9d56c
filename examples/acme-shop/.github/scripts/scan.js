// Scans an image for known vulnerabilities and secrets: every platform of an OCI layout, with the one
// gate that pull requests, releases and the daily scan share.
// Usage: scan.js LAYOUT OUT [--name NAME] [--report]
// Writes for each platform, like linux-arm64: OUT/PLATFORM.json (Trivy's report), .sarif (for code
// scanning) and .cdx.json (the SBOM); and of all together OUT/findings.json and, for people, OUT/summary.md.
// Exit code: 0 when nothing stops the image, 1 when a finding does (not with --report), 2 when it could
// not be scanned.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { layoutOf, platformsOf } from './lib/layout.js';

const FOUND = 10;
// What stops an image: whatever is serious and can be mended by an update; and what a waiver lifts.
const GATE = ['--severity=HIGH,CRITICAL', '--ignore-unfixed', `--exit-code=${FOUND}`];
const WAIVERS = resolve(import.meta.dirname, '../../.trivyignore.yaml');
// All that serve the database: one alone often answers that it gets too many requests.
const MIRRORS = ['mirror.gcr.io/aquasec', 'public.ecr.aws/aquasecurity', 'ghcr.io/aquasecurity'];
const from = (name) => MIRRORS.map((mirror) => `${mirror}/${name}`).join(',');

function trivy(...args) {
  const { status, error } = spawnSync('trivy', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw new Error(`trivy could not be started: ${error.message}`);
  return status;
}

function scanPlatform(layout, { platform, descriptor }, out, name) {
  const base = join(out, platform.replaceAll('/', '-'));
  const report = `${base}.json`;
  const scratch = mkdtempSync(join(tmpdir(), 'scan-'));
  let status;
  try {
    // Of an index, Trivy would scan the first platform only.
    const single = join(scratch, 'image');
    layoutOf(layout, descriptor, single);
    status = trivy(
      'image',
      `--input=${single}`,
      '--scanners=vuln,secret',
      ...GATE,
      `--ignorefile=${WAIVERS}`,
      `--db-repository=${from('trivy-db:2')}`,
      `--java-db-repository=${from('trivy-java-db:1')}`,
      '--list-all-pkgs',
      '--skip-version-check',
      '--disable-telemetry',
      '--no-progress',
      '--format=json',
      `--output=${report}`,
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
  if (status !== 0 && status !== FOUND) throw new Error(`trivy ended with ${status}`);

  const result = JSON.parse(readFileSync(report, 'utf8'));
  result.ArtifactName = `${name} (${platform})`;
  writeFileSync(report, JSON.stringify(result, null, 1));
  for (const [format, file] of [
    ['sarif', `${base}.sarif`],
    ['cyclonedx', `${base}.cdx.json`],
  ]) {
    const converted = trivy('convert', `--format=${format}`, `--output=${file}`, report);
    if (converted !== 0) throw new Error(`trivy convert ended with ${converted}`);
  }
  // Code scanning keeps one set of findings for each of these names.
  const sarif = JSON.parse(readFileSync(`${base}.sarif`, 'utf8'));
  for (const run of sarif.runs) run.automationDetails = { id: `image/${name}/${platform}/` };
  writeFileSync(`${base}.sarif`, JSON.stringify(sarif));
  return { platform, stopped: status === FOUND, findings: findingsOf(result) };
}

function findingsOf({ Results = [] }) {
  return Results.flatMap(({ Target, Vulnerabilities = [], Secrets = [] }) => [
    ...Vulnerabilities.map((found) => ({
      id: found.VulnerabilityID,
      severity: found.Severity,
      where: `${found.PkgName} ${found.InstalledVersion}`,
      remedy: `update to ${found.FixedVersion}`,
    })),
    ...Secrets.map((found) => ({
      id: found.RuleID,
      severity: found.Severity,
      where: `${Target}:${found.StartLine}`,
      remedy: 'revoke it, then remove it',
    })),
  ]);
}

/** The findings as a table in Markdown, one line for each, whatever the number of platforms. */
function summary(name, results) {
  const platforms = results.map(({ platform }) => platform).join(', ');
  const lines = new Map();
  for (const { platform, findings } of results) {
    for (const { severity, id, where, remedy } of findings) {
      const line = `| ${severity} | ${id} | ${where} | ${remedy} |`;
      lines.set(line, [...(lines.get(line) ?? []), platform]);
    }
  }
  if (lines.size === 0) return `${name}: nothing stops it (${platforms}).\n`;
  const rows = [...lines].map(([line, where]) => `${line} ${where.join(', ')} |`);
  const head = [
    '| severity | finding | where | remedy | platforms |',
    '| --- | --- | --- | --- | --- |',
  ];
  return `${name}: findings that stop it:\n\n${[...head, ...rows].join('\n')}\n`;
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { name: { type: 'string' }, report: { type: 'boolean' } },
  });
  const [layout, out] = positionals;
  if (!layout || !out) throw new Error('usage: scan.js LAYOUT OUT [--name NAME] [--report]');
  const name = values.name ?? basename(resolve(layout));
  mkdirSync(out, { recursive: true });
  const results = platformsOf(layout).map((image) => scanPlatform(layout, image, out, name));
  const text = summary(name, results);
  writeFileSync(join(out, 'summary.md'), text);
  writeFileSync(join(out, 'findings.json'), JSON.stringify({ name, results }, null, 1));
  console.log(text);
  process.exitCode = !values.report && results.some(({ stopped }) => stopped) ? 1 : 0;
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
