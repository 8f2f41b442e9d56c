// Keeps one issue for each service that tells which findings its running images have: opens it, edits
// it when the findings change, closes it when nothing is left. Doing it twice changes nothing.
// Usage: rescan-issues.js REPORTS
// REPORTS holds a folder for each image, findings-NAME/findings.json as scan.js writes it; IMAGES is the
// output of running-images.js. An image without a report could not be scanned: that proves nothing, so
// its issue stays as it is.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../../checks/lib/repository.js';

const LABEL = 'rescan';
// GitHub takes 65,536 characters in an issue.
const MOST_ROWS = 200;

function gh(args, input = '') {
  const options = { encoding: 'utf8', input, maxBuffer: Number.POSITIVE_INFINITY };
  const { status, error, stdout, stderr } = spawnSync('gh', args, options);
  if (error) throw new Error(`gh could not be started: ${error.message}`);
  if (status !== 0) throw new Error(`gh ${args.join(' ')}\n${stderr}`);
  return stdout;
}

const withBody = (body, ...args) => gh([...args, '--body-file=-'], body);
const titleOf = (service) => `${service}: findings in images that run`;
// What a person may not change by accident, unlike the title.
const markOf = (service) => `<!-- rescan of ${service} -->`;

/** The newest issue of each service, open or closed. */
function findIssues() {
  const fields = '--json=number,state,title,body';
  const list = ['issue', 'list', `--label=${LABEL}`, '--state=all', '--limit=1000', fields];
  const issues = new Map();
  for (const issue of JSON.parse(gh(list)).sort((a, b) => a.number - b.number)) {
    const service = /<!-- rescan of (\S+) -->/.exec(issue.body)?.[1];
    if (service) issues.set(service, issue);
  }
  return issues;
}

/** In backticks nothing is Markdown, and no @name calls somebody. */
const code = (text) => `\`${String(text).replace(/[`|\n]/g, ' ')}\``;

function rowsOf({ results }) {
  const rows = results.flatMap(({ findings }) =>
    findings.map(
      ({ severity, id, where, remedy }) =>
        `| ${severity} | ${code(id)} | ${code(where)} | ${code(remedy)} |`,
    ),
  );
  return [...new Set(rows)];
}

function bodyOf(service, images) {
  const parts = images.map(({ reference, environments, report }) => {
    const where = `${code(reference)}, which runs in ${environments.join(', ')}`;
    if (!report) return `${where}: could not be scanned this time.`;
    const rows = rowsOf(report);
    if (rows.length === 0) return `${where}: nothing to mend.`;
    const more = rows.length - MOST_ROWS;
    return [
      `${where}:`,
      '',
      '| severity | finding | where | remedy |',
      '| --- | --- | --- | --- |',
      ...rows.slice(0, MOST_ROWS),
      ...(more > 0 ? ['', `and ${more} more, see the run of the workflow`] : []),
    ].join('\n');
  });
  return [
    markOf(service),
    'These findings are serious, and an update mends them. docs/findings.md tells how to answer them.',
    'The workflow `rescan` writes this text, and closes the issue when nothing is left.',
    ...parts,
  ].join('\n\n');
}

function reportOf(reports, { name }) {
  const file = join(reports, `findings-${name}`, 'findings.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** Makes the issue of a service say this, and returns what had to be done. */
function open(service, issue, body) {
  const title = titleOf(service);
  if (!issue) {
    withBody(body, 'issue', 'create', `--title=${title}`, `--label=${LABEL}`);
    return 'opened';
  }
  const number = String(issue.number);
  const reopened = issue.state !== 'OPEN';
  if (reopened) gh(['issue', 'reopen', number]);
  const edited = issue.body.trim() !== body || issue.title !== title;
  if (edited) withBody(body, 'issue', 'edit', number, `--title=${title}`);
  return reopened ? 'opened again' : edited ? 'edited' : 'still open';
}

function close(issue, reason) {
  if (issue?.state !== 'OPEN') return 'none';
  gh(['issue', 'close', String(issue.number), `--comment=${reason}`]);
  return 'closed';
}

function update(service, issue, images) {
  if (images.length === 0) return close(issue, 'No environment runs this service any more.');
  if (images.some(({ report }) => report && rowsOf(report).length > 0)) {
    return open(service, issue, bodyOf(service, images));
  }
  if (images.some(({ report }) => !report)) return 'left as it is: not everything was scanned';
  return close(issue, 'Nothing is left that an update mends.');
}

function main() {
  const [reports] = process.argv.slice(2);
  if (!reports || !process.env.IMAGES)
    throw new Error('usage: IMAGES=... rescan-issues.js REPORTS');
  const images = JSON.parse(process.env.IMAGES).map((image) => ({
    ...image,
    report: reportOf(reports, image),
  }));
  gh([
    ...['label', 'create', LABEL, '--force', '--color=b60205'],
    '--description=Findings in images that run',
  ]);
  const issues = findIssues();
  const named = new Set([...images.map(({ service }) => service), ...issues.keys()]);
  for (const service of [...named].sort()) {
    const own = images.filter((image) => image.service === service);
    console.log(`${service}: ${update(service, issues.get(service), own)}`);
  }
}

command(main);
