// The files of a service under another name. The name is replaced where it is one, place by place:
// `http` or `app` is a good name for a service, and a word that means other things in the same file.
import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isPair, isScalar, isSeq, parseAllDocuments, parseDocument, visit } from 'yaml';
import { git } from './git.js';
import { NO_DIGEST, root } from './repository.js';

/** The folders of a service. */
export const foldersOf = (service) => [`services/${service}`, `deploy/apps/${service}`];

const FIRST_VERSION = '0.1.0';

/** Keys whose value is the name of an object, wherever they stand. */
const NAMING = new Set([
  'app.kubernetes.io/name',
  'serviceAccountName',
  'serviceName',
  'templateName',
]);
/** Keys whose value has a `name` that is the name of an object; those of a list are in the plural. */
const NAMED = /^(metadata|service|target|\w+Ref|subjects|\w+Refs)$/;

/** Replaces parts of a text, each given as [start, end, what stands there then]. */
function replaced(text, parts) {
  const ordered = parts.toSorted(([first], [second]) => second - first);
  return ordered.reduce(
    (result, [start, end, part]) => result.slice(0, start) + part + result.slice(end),
    text,
  );
}

/** Replaces values of a JSON text, each given as [path, value]; all else stays as it is written. */
function json(text, values) {
  // JSON is YAML, and YAML's parser says where each value stands.
  const document = parseDocument(text);
  const parts = values.flatMap(([path, value]) => {
    const node = document.getIn(path, true);
    return isScalar(node) ? [[node.range[0], node.range[1], JSON.stringify(value)]] : [];
  });
  return replaced(text, parts);
}

/** The keys above a scalar, from the nearest one; those of lists are left out. */
const keysAbove = (ancestors) =>
  ancestors
    .filter(isPair)
    .map(({ key }) => String(key))
    .reverse();

/** Whether a scalar of a manifest is the name of an object, by where it stands. */
function isName(ancestors) {
  const [key, holder] = keysAbove(ancestors);
  // An item of a list of texts has the key of the list.
  if (isSeq(ancestors.at(-1))) return false;
  return NAMING.has(key) || (key === 'name' && NAMED.test(holder));
}

/** Replaces the name of a service in a text of YAML. */
function manifest(file, text, service, name) {
  const image = new RegExp(`(?<=/)${service}(?=[@:]|$)`);
  const query = new RegExp(`(?<=\\bservice=")${service}(?=")`, 'g');
  const parts = [];
  for (const document of parseAllDocuments(text)) {
    if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0].message}`);
    visit(document, {
      Scalar(position, node, ancestors) {
        if (position === 'key' || typeof node.value !== 'string') return;
        const [start, end] = node.range;
        const written = text.slice(start, end);
        const [key] = keysAbove(ancestors);
        if (node.value === service && isName(ancestors)) {
          parts.push([start, end, written.replace(service, name)]);
        } else if (key === 'image') {
          parts.push([start, end, written.replace(image, name)]);
        } else {
          parts.push([start, end, written.replace(query, name)]);
        }
      },
    });
  }
  return replaced(text, parts);
}

/** Replaces the digest of a text of a release.yaml by that of nothing released. */
function release(text) {
  const digest = parseDocument(text).getIn(['image', 'digest'], true);
  return replaced(text, [[...digest.range.slice(0, 2), NO_DIGEST]]);
}

/** Replaces the name of a service in a file of its folders. */
function renamed(file, text, service, name) {
  const [, , ...path] = file.split('/');
  const place = file.startsWith('services/') ? path.join('/') : path.at(-1);
  switch (place) {
    case 'package.json':
      return json(text, [
        [['name'], name],
        [['version'], FIRST_VERSION],
      ]);
    case 'package-lock.json':
      return json(text, [
        [['name'], name],
        [['version'], FIRST_VERSION],
        [['packages', '', 'name'], name],
        [['packages', '', 'version'], FIRST_VERSION],
      ]);
    case 'Dockerfile':
      return text.replace(
        new RegExp(`(?<=org\\.opencontainers\\.image\\.title=")${service}(?=")`),
        name,
      );
    case 'README.md':
      return text.replace(new RegExp(`^# ${service}$`, 'm'), `# ${name}`);
  }
  if (!file.startsWith('deploy/apps/') || !/\.ya?ml$/.test(file)) return text;
  // The sentences at the top of the files that Slipway wrote.
  const comment = new RegExp(`(?<=^# (How|The image of) )${service}(?= (that )?runs in )`, 'm');
  // A release.yaml is for all services alike, but for its digest.
  const changed = place === 'release.yaml' ? release(text) : manifest(file, text, service, name);
  return changed.replace(comment, name);
}

/**
 * What is in the folders of a service by the names of its files: all that git would take, so neither
 * dependencies nor a .env.
 */
export function filesOf(service) {
  const listed = git(
    ...['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--'],
    ...foldersOf(service),
  );
  const present = (file) => lstatSync(join(root, file), { throwIfNoEntry: false });
  return [...new Set(listed.split('\0').filter(Boolean))].filter(present).sort();
}

/** What a file is: its text or other bytes and its mode, or where a link leads. */
export function contentOf(file) {
  const path = join(root, file);
  const status = lstatSync(path);
  if (status.isSymbolicLink()) return { link: readlinkSync(path) };
  return { bytes: readFileSync(path), mode: status.mode };
}

/** The files of a new service by their names, as copies of another one's. */
export function copyOf(service, name) {
  const files = filesOf(service).map((file) => {
    const folder = foldersOf(service).findIndex((each) => file.startsWith(`${each}/`));
    const place = foldersOf(name)[folder] + file.slice(foldersOf(service)[folder].length);
    const content = contentOf(file);
    const text = content.bytes?.toString();
    const changed = text && renamed(file, text, service, name);
    // What is no text must not go through one.
    return [place, changed === text ? content : { ...content, bytes: Buffer.from(changed) }];
  });
  return new Map(files);
}

/** Where files say a word that may be a name: FILE:LINE each. */
export function mentions(word, files) {
  const found = new RegExp(`(?<![\\w-])${word}(?![\\w-])`);
  return [...files].flatMap(([file, { bytes }]) =>
    (bytes?.toString() ?? '')
      .split('\n')
      .flatMap((line, index) => (found.test(line) ? [`${file}:${index + 1}`] : [])),
  );
}
