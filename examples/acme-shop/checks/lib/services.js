// Adds a service as a copy of another one, and takes one away: make add-service, make remove-service.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { contentOf, copyOf, filesOf, foldersOf, mentions } from './copy.js';
import { environments } from './facts.js';
import { flows } from './flows.js';
import { git } from './git.js';
import { apps, digestOf } from './render.js';
import { command, NO_DIGEST, read, releaseFile, root, services } from './repository.js';

const LONGEST = 24;
const LABEL = /^[a-z]([a-z0-9-]*[a-z0-9])?$/;

/** What YAML takes for something else than a text, so that every manifest would have to quote it. */
const YAML_WORDS = ['false', 'n', 'no', 'null', 'off', 'on', 'true', 'y', 'yes'];

/** The roles that each environment has for itself: infra/modules/environment. */
function roles() {
  const list = /reserved_names\s*=\s*\[([^\]]*)\]/.exec(read('infra/modules/environment/main.tf'));
  return [...list[1].matchAll(/"([^"]+)"/g)].map(([, name]) => name);
}

/** Why no service can be called so, in words that follow the name; undefined when one can. */
export function problemOf(name) {
  if (name.length > LONGEST || !LABEL.test(name)) {
    return `must be at most ${LONGEST} of a-z, 0-9 and -, begin with a letter, not end with -; for example payments`;
  }
  const reason = reasonAgainst(name);
  return reason && `${reason}; choose another name`;
}

/** What else is called so. */
function reasonAgainst(name) {
  if (YAML_WORDS.includes(name)) return 'is a word that YAML reads as another value';
  if (name === 'default') return 'is the service account that every namespace has';
  if (roles().includes(name)) return 'is what a role of each environment is called';
  const target = new RegExp(`^(?:test|check)-${name}(?=:)`, 'm').exec(read('Makefile'))?.[0];
  return target && `would have the target ${target}, which the Makefile has for something else`;
}

/** Refuses what is asked for. */
function refuse(...sentences) {
  throw new Error([...sentences, 'Nothing was changed.'].join(' '));
}

/** @throws {Error} when it is not the name of a service. */
function assertName(name) {
  if (!name) refuse('NAME is missing: say which service, for example NAME=payments.');
  const problem = problemOf(name);
  if (problem) refuse(`NAME=${name} ${problem}.`);
}

const present = (service) => foldersOf(service).filter((folder) => existsSync(join(root, folder)));

const there = (names) => `there ${names.length > 1 ? 'are' : 'is'} ${names.join(', ')}`;

/** Whether the folders of a service hold these files and no others. */
function holds(service, copies) {
  const files = new Map(filesOf(service).map((file) => [file, contentOf(file)]));
  return isDeepStrictEqual(files, copies);
}

/** A folder in which files can be made, or to which they can be moved, before all is known to be well. */
function scratch() {
  mkdirSync(join(root, 'build'), { recursive: true });
  return mkdtempSync(join(root, 'build/service-'));
}

/** Writes the files of a service elsewhere first, so that its folders are never there by half. */
function write(service, copies) {
  const folder = scratch();
  const moved = [];
  try {
    for (const [file, { link, bytes, mode }] of copies) {
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      if (link) symlinkSync(link, path);
      else writeFileSync(path, bytes, { mode });
    }
    for (const each of foldersOf(service)) {
      renameSync(join(folder, each), join(root, each));
      moved.push(each);
    }
  } catch (error) {
    for (const each of moved) rmSync(join(root, each), { recursive: true });
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Adds a service.
 * @param from the service that it is a copy of.
 * @returns what to say about it.
 * @throws {Error} when there is no such service to copy, or none can be called so.
 */
export function addService(name, from) {
  assertName(name);
  const known = services.filter((service) => apps.includes(service));
  if (!known.includes(from)) refuse(`FROM=${from}: there is no such service; ${there(known)}.`);
  const copies = copyOf(from, name);
  const taken = present(name);
  if (taken.length === 0) {
    write(name, copies);
    return added(name, from, copies);
  }
  if (name === from || !holds(name, copies)) {
    const are = taken.length > 1 ? 'are' : 'is';
    refuse(
      `NAME=${name} is taken: ${taken.join(' and ')} ${are} there already; choose another name.`,
    );
  }
  return [`${name} is there already, a copy of ${from}. Nothing was changed.`];
}

/** What there is to do when a service has been added. */
function added(name, from, copies) {
  const [code, manifests] = foldersOf(name);
  const helm = existsSync(join(root, manifests, 'values.yaml'));
  const team = helm ? `${manifests}/values.yaml` : `${manifests}/base/service.yaml`;
  const left = mentions(from, copies);
  const shown = left.slice(0, 8);
  return [
    `${code} and ${manifests} are a copy of ${from} that has not been released anywhere.`,
    `It does what ${from} does, until you change ${code}/src; load balancers may reach it if they may`,
    `reach ${from}.`,
    ...(left.length > 0
      ? [
          `These lines still say ${from}, and may mean it:`,
          ...shown.map((place) => `  ${place}`),
          ...(left.length > shown.length ? [`  and ${left.length - shown.length} more`] : []),
        ]
      : []),
    'Next:',
    `  make setup test-${name} check`,
    `  make dev NAME=${name}`,
    ...(existsSync(join(root, 'infra/bootstrap/registry.tf'))
      ? ['  make bootstrap-aws    # its repository of images, before the first release']
      : []),
    `Who is told when it has trouble is the team in ${team}; whom it may call, and`,
    'who may call it, are files in deploy/flows/ (docs/network.md).',
  ];
}

/** Files of a service that git could not give back: changed, new, or left out by .gitignore. */
function unsaved(name) {
  const options = [
    '--porcelain',
    '-z',
    '--no-renames',
    '--untracked-files=all',
    '--ignored=matching',
  ];
  return git('status', ...options, '--', ...present(name))
    .split('\0')
    .filter((entry) => entry !== '' && !/^.D/.test(entry))
    .map((entry) => entry.slice(3))
    .filter((file) => !/\/(node_modules|coverage)\/$/.test(file));
}

/** Whether a service is a copy of another one that nobody has touched: make add-service gives it back. */
const untouched = (name) =>
  services.some((from) => from !== name && apps.includes(from) && holds(name, copyOf(from, name)));

/**
 * Takes a service away.
 * @param confirmed the name again, when something is lost with it.
 * @returns what to say about it.
 * @throws {Error} when it is still needed, or when something would be lost.
 */
export function removeService(name, confirmed) {
  // Whatever is there can be taken away, if it can be a name at all, and no path.
  if (!name || !LABEL.test(name)) assertName(name);
  const folders = present(name);
  if (folders.length === 0) {
    return [`There is no service ${name}; ${there(services)}. Nothing was changed.`];
  }
  if (!services.some((service) => service !== name)) {
    refuse(
      `${name} is the only service; add another one first,`,
      `for example make add-service NAME=payments FROM=${name}.`,
    );
  }
  const files = flows().filter((flow) => flow.services.includes(name));
  if (files.length > 0) {
    const listed = [...new Set(files.map(({ file }) => file))].join(', ');
    refuse(`${name} has flows: delete or change ${listed} first.`);
  }
  const losses = lossesOf(name);
  if (losses.length > 0 && confirmed !== name) {
    refuse(...losses, `If that is what you want, add CONFIRM=${name}.`);
  }
  const folder = scratch();
  for (const [index, each] of folders.entries()) {
    renameSync(join(root, each), join(folder, String(index)));
  }
  rmSync(folder, { recursive: true });
  return removed(name);
}

/** What is lost with a service, one sentence each. */
function lossesOf(name) {
  const runs = environments.filter(
    (environment) =>
      existsSync(join(root, releaseFile(name, environment))) &&
      digestOf(name, environment) !== NO_DIGEST,
  );
  const files = unsaved(name);
  return [
    ...(runs.length > 0
      ? [
          `${name} runs in ${runs.join(', ')}: once main has no folder of it, Argo CD deletes it there.`,
        ]
      : []),
    ...(files.length > 0 && !untouched(name)
      ? [
          `git could not give back ${files.slice(0, 8).join(', ')}${files.length > 8 ? ', ...' : ''}.`,
        ]
      : []),
  ];
}

/**
 * Lets links of documents lead to another service, which has the same files.
 * @returns the documents that have changed.
 */
function linkTo(name, other) {
  const text = new RegExp(`\\[${name}\\](?=\\()`, 'g');
  const path = new RegExp(`(?<=\\]\\((?:[\\w./-]*/)?(?:services|apps)/)${name}(?=/)`, 'g');
  const documents = git('ls-files', '-z', '--', '*.md').split('\0').filter(Boolean);
  return documents.filter((document) => {
    if (!existsSync(join(root, document))) return false;
    const before = read(document);
    if (!path.test(before)) return false;
    writeFileSync(join(root, document), before.replace(path, other).replace(text, `[${other}]`));
    return true;
  });
}

/** What there is to do when a service has been taken away. */
function removed(name) {
  const [other] = services.filter((service) => service !== name);
  const documents = linkTo(name, other);
  const cruft = existsSync(join(root, '.cruft.json')) && JSON.parse(read('.cruft.json'));
  return [
    `${foldersOf(name).join(' and ')} are gone.`,
    ...(documents.length > 0
      ? [`Links to them lead to ${other} now: ${documents.join(', ')}.`]
      : []),
    ...(cruft?.context?.cookiecutter?.service_name === name
      ? [
          `.cruft.json calls ${name} the first service: write ${other} or another one there, so that updates`,
          'of the template reach it.',
        ]
      : []),
    'What git does not hold stays: docs/services.md says what that is.',
  ];
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { from: { type: 'string' }, confirm: { type: 'string' } },
  });
  const [action, name] = positionals;
  const say =
    action === 'add' ? addService(name, values.from) : removeService(name, values.confirm);
  console.log(say.join('\n'));
}

if (import.meta.main) command(main);
