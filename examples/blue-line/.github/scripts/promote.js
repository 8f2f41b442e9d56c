// Opens the pull request that lets an environment run what another one runs, with the evidence that
// its reviewer needs.
// Usage: promote.js FROM TO PLAN EVIDENCE SCANS
// PLAN is the output of plan-promotion.js, EVIDENCE the folder of collect-evidence.js,
// SCANS/scan-SERVICE what scan.js wrote.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../../checks/lib/repository.js';
import { summarize } from './lib/actions.js';
import { commit, digestAt, git, goToMain, isBefore, sourceOf } from './lib/git.js';
import { make } from './lib/make.js';
import { propose } from './lib/pull-request.js';

const MOST_COMMITS = 50;

/** The commits of a service that an environment gets, or loses when it goes back. */
function commitsOf({ service, digest, before }, to) {
  const source = sourceOf('HEAD', service, digest);
  if (!source) return 'No commit says from which source this image was built.';
  const last = before && sourceOf('HEAD', service, before);
  const back = last && last !== source && isBefore(source, last);
  const range = back ? `${source}..${last}` : last ? `${last}..${source}` : source;
  const log = git(
    'log',
    '--no-merges',
    '--format=- %h %s (%an)',
    range,
    '--',
    `services/${service}`,
  );
  const lines = log.split('\n').filter(Boolean);
  const shown = lines.slice(0, MOST_COMMITS);
  if (lines.length > shown.length) shown.push(`- and ${lines.length - shown.length} more`);
  const title = back
    ? `**This goes back.** ${to} loses these commits:`
    : last
      ? `Commits that ${to} gets:`
      : `${to} has not run ${service} yet. Its commits:`;
  return `Built from ${source}. ${title}\n\n${shown.join('\n') || '- none'}`;
}

function promote({ service, digest, before }, from, to) {
  if (digestAt('HEAD', service, from) !== digest || digestAt('HEAD', service, to) !== before) {
    throw new Error(
      `${service} has been released while the evidence was collected; run this again`,
    );
  }
  make('promote', `NAME=${service}`, `FROM=${from}`, `ENV=${to}`);
}

function main() {
  const [from, to, json, evidence, scans] = process.argv.slice(2);
  if (!scans) throw new Error('usage: promote.js FROM TO PLAN EVIDENCE SCANS');
  const plan = JSON.parse(json);
  const names = plan.map(({ service }) => service);
  goToMain();
  const parts = plan.map((entry) => {
    const { service } = entry;
    const commits = commitsOf(entry, to);
    const registry = readFileSync(join(evidence, `${service}.md`), 'utf8').trim();
    const scan = readFileSync(join(scans, `scan-${service}`, 'summary.md'), 'utf8').trim();
    return `## ${service}\n\n${registry}\n\n${commits}\n\nScan of today: ${scan}`;
  });
  for (const entry of plan) promote(entry, from, to);
  const title = `Promote ${names.join(', ')} from ${from} to ${to}`;
  commit(title);
  summarize(propose(`promote/${to}/${names.join('-')}`, title, parts.join('\n\n')));
}

command(main);
