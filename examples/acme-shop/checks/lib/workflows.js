// The workflows of .github/workflows/, with the lines on which things stand. Run as a program, it writes
// the table of docs/permissions.md.
import { globSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isMap, LineCounter, parseDocument } from 'yaml';
import { environments } from './facts.js';
import { read, root } from './repository.js';

/**
 * A workflow: `data` is its content, `job(id)` and `steps(id)` the nodes of a job and of its steps, and
 * `at(node)` says where a node stands.
 */
function load(path) {
  const text = read(path);
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  const lineOf = (node) => (node?.range ? counter.linePos(node.range[0]).line : 1);
  const job = (id) => document.getIn(['jobs', id]);
  return {
    path,
    name: basename(path),
    text,
    document,
    data: document.toJS(),
    job,
    steps: (id) => job(id).get('steps')?.items ?? [],
    at: (node) => `${path}:${lineOf(node)}`,
    /** The comment behind a node, on its line. */
    comment: (node) => /\s#\s*(.+)$/.exec(text.split('\n')[lineOf(node) - 1])?.[1].trim() ?? '',
  };
}

export const workflows = globSync('.github/workflows/*.{yml,yaml}', { cwd: root }).sort().map(load);

/** Each entry of a map node: key, value, and the nodes of both. */
export const entries = (map) =>
  isMap(map)
    ? map.items.map(({ key, value }) => ({
        key: key.value,
        keyNode: key,
        value: value?.toJSON?.() ?? value?.value,
        node: value,
      }))
    : [];

/** Each job of a workflow: its id, its content, its node. */
export const jobsOf = (workflow) =>
  entries(workflow.document.get('jobs')).map(({ key, keyNode, value, node }) => ({
    id: key,
    data: value,
    node,
    keyNode,
    place: `${workflow.at(keyNode)}: job ${key}`,
  }));

/** A job of infra.yml runs once for each of our environments, in an environment of GitHub's for each. */
const EACH = /\$\{\{ matrix\.(?:change\.)?environment \}\}/;
const nameIn = ({ environment }) => environment?.name ?? environment;

/** Whether the environment that a job names on GitHub is one for each of ours, with variables of its own. */
export const isForEach = ({ data }) => EACH.test(nameIn(data));

/** The environments on GitHub in which a job runs. */
export function environmentsOf({ data }) {
  const name = nameIn(data);
  if (name === undefined) return [];
  return EACH.test(name) ? environments.map((own) => name.replace(EACH, own)) : [name];
}

const DOCUMENT = 'docs/permissions.md';
const HEAD = [
  '| workflow | job | environment | may, and why | reads |',
  '| --- | --- | --- | --- | --- |',
].join('\n');

/** One line for each job that may do more than read the code. */
function rowsOf(workflow) {
  return jobsOf(workflow).flatMap(({ id, data, node }) => {
    const grants = entries(node.get('permissions'))
      .filter(({ key, value }) => `${key}: ${value}` !== 'contents: read')
      .map(({ key, keyNode, value }) => `\`${key}: ${value}\` ${workflow.comment(keyNode)}`);
    const text = JSON.stringify(data);
    const names = [...text.matchAll(/\b(?:vars|secrets)\.\w+/g)].map(([name]) => `\`${name}\``);
    if (grants.length === 0 && !data.environment) return [];
    const link = `[${workflow.name.split('.')[0]}](../${workflow.path})`;
    const cells = [
      link,
      id,
      (nameIn(data) ?? '').replace(EACH, 'ENV'),
      grants.join('<br>'),
      [...new Set(names)].join('<br>'),
    ];
    return `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |').replaceAll('|  |', '| |');
  });
}

/** The document of permissions as it should be. */
export function permissionsDocument() {
  const [intro] = read(DOCUMENT).split(HEAD);
  return `${intro}${[HEAD, ...workflows.flatMap(rowsOf)].join('\n')}\n`;
}

if (import.meta.main) writeFileSync(join(root, DOCUMENT), permissionsDocument());
