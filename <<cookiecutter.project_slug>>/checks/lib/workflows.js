// The workflows of .github/workflows/, with the lines on which things stand.
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { isMap, LineCounter, parseDocument } from 'yaml';
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
