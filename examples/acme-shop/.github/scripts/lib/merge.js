// Three trees of files become one. A tree is a map from paths to "MODE OBJECT", as git has them: `before` is
// what the template made then, `after` what it makes now, `ours` what the owner has.
import { matchesGlob } from 'node:path';
import { compareVersions } from '../../../checks/lib/versions.js';
import { gitIn } from './template.js';

// Whatever a person has configured, a merge is the same.
const SETTINGS = ['renames=true', 'directoryRenames=conflict', 'conflictStyle=merge'].flatMap(
  (setting) => ['-c', `merge.${setting}`],
);

// What Dependabot moves. It stands on lines that the template moves too, so that each time both have done so
// would be a conflict. A version of an action is one in all workflows, others are their file's.
const VERSION = String.raw`(?<version>\d+\.\d+\.\d+)`;
const PINS = [
  {
    files: '.github/workflows/*.yml',
    shared: true,
    pattern: `uses: (?<key>[\\w.-]+/[\\w.-]+)(?:/[\\w./-]+)?@(?<pin>[0-9a-f]{40} # v${VERSION})$`,
  },
  { files: '**/package.json', pattern: `^ +"(?<key>[^"]+)": "(?<pin>${VERSION})"` },
  { files: 'mise.toml', pattern: `^"?(?<key>[\\w:./-]+)"? = "(?<pin>${VERSION})"` },
];

const isNewer = (one, other) => compareVersions(one, other) > 0;

export const isLock = (path) => /(^|\/)package-lock\.json$/.test(path);

/** Whether a path is one of a list of patterns, or in a folder that is. */
const matches = (path, patterns) =>
  patterns.some((pattern) => matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`));

/** The names of the services in a tree. */
export const servicesIn = (files) => [
  ...new Set([...files.keys()].flatMap((path) => /^services\/([^/]+)\//.exec(path)?.[1] ?? [])),
];

/** Whether a path is one of those that a service consists of. */
export const belongsTo = (service) => (path) =>
  path.startsWith(`services/${service}/`) || path.startsWith(`deploy/apps/${service}/`);

/** The folders that hold files, each with those above it. */
const foldersOf = (paths) =>
  new Set(
    paths.flatMap((path) => {
      const parts = path.split('/');
      return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
    }),
  );

/** Takes out the services that were not made from the template: nothing of the template belongs there. */
export function withoutStrangers({ before, after, ours }) {
  for (const service of servicesIn(before)) {
    const made = [...before.keys()].filter((path) => path.startsWith(`services/${service}/`));
    const there = made.filter((path) => ours.has(path));
    if (2 * there.length >= made.length) continue;
    for (const files of [before, after])
      for (const path of [...files.keys()].filter(belongsTo(service))) files.delete(path);
  }
}

/**
 * Takes out of the template's changes what is left to the owner, and returns it: `yours` are files that the
 * owner has changed and that are in a list, `gone` those in a folder that the owner does not have any more,
 * `locks` what npm has to make anew.
 * @param {string[]} patterns files that are the owner's once they are changed.
 * @param {string[]} skipped files that are the owner's from the beginning: the list of cruft.
 */
export function leaveToOwner({ before, after, ours }, patterns, skipped) {
  const left = { yours: [], gone: [], locks: [] };
  const [foldersBefore, foldersNow] = [before, ours].map((files) => foldersOf([...files.keys()]));
  const inFolderThatIsGone = (path) =>
    [...foldersOf([path])].some((folder) => foldersBefore.has(folder) && !foldersNow.has(folder));
  const kindOf = (path, was, is, own) => {
    const changed = own && own !== was;
    if (matches(path, skipped) || (changed && matches(path, patterns))) return 'yours';
    if (was === undefined && inFolderThatIsGone(path)) return 'gone';
    if (isLock(path) && changed && was && is) return 'locks';
    return undefined;
  };
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [was, is, own] = [before, after, ours].map((files) => files.get(path));
    const kind = was === is || own === is ? undefined : kindOf(path, was, is, own);
    if (kind === undefined) continue;
    left[kind].push(path);
    if (was) after.set(path, was);
    else after.delete(path);
  }
  return left;
}

/** The objects of the repository in a folder. */
export class Objects {
  constructor(folder, temporary) {
    this.folder = folder;
    this.temporary = temporary;
    this.count = 0;
  }

  git(args, options) {
    return gitIn(this.folder, args, options);
  }

  /** A text as an object of git. */
  write(input) {
    return this.git(['hash-object', '-w', '--stdin'], { input });
  }

  /** The text of an entry of a tree. */
  read(entry) {
    return this.git(['cat-file', 'blob', entry.split(' ')[1]], { raw: true });
  }

  /** The files of a commit or a tree. */
  async filesOf(tree) {
    const list = await this.git(['ls-tree', '-r', '-z', '--full-tree', tree]);
    const entries = list.split('\0').filter(Boolean);
    return new Map(
      entries.map((line) => {
        const [, mode, object, path] = /^(\d+) \w+ ([0-9a-f]+)\t(.+)$/s.exec(line);
        return [path, `${mode} ${object}`];
      }),
    );
  }

  /** An index of its own, so that the owner's is not touched. */
  index() {
    this.count += 1;
    return { GIT_INDEX_FILE: `${this.temporary}/index-${this.count}` };
  }

  /** The files of a folder. */
  async filesIn(folder) {
    const env = this.index();
    const work = ['-c', 'core.safecrlf=false', `--work-tree=${folder}`];
    await this.git([...work, 'add', '--all', '--force', '.'], { env });
    return this.filesOf(await this.git(['write-tree'], { env }));
  }

  /** A tree of files. */
  async tree(files) {
    const env = this.index();
    const input = [...files].map(([path, entry]) => `${entry}\t${path}\0`).join('');
    await this.git(['update-index', '-z', '--add', '--index-info'], { env, input });
    return this.git(['write-tree'], { env });
  }
}

/**
 * Settles versions that both have moved: the later one is taken, in files of the template that are new as well.
 * To that end the owner's version is what the template had, too.
 */
export async function settlePins(objects, { before, after, ours }) {
  for (const { files: glob, shared, pattern } of PINS) {
    const find = new RegExp(pattern, 'gm');
    const scope = (path, key) => (shared ? key : `${path} ${key}`);
    const pinsOf = async (tree) => {
      const found = new Map();
      for (const [path, entry] of tree) {
        if (!matchesGlob(path, glob)) continue;
        for (const { groups } of (await objects.read(entry)).matchAll(find)) {
          const name = scope(path, groups.key);
          const known = found.get(name);
          if (!known || isNewer(groups.version, known.version)) found.set(name, groups);
        }
      }
      return found;
    };
    const [was, is, own] = await Promise.all([before, after, ours].map(pinsOf));
    const moved = new Map();
    for (const [name, mine] of own) {
      const [old, now] = [was.get(name), is.get(name)];
      // Whoever has gone back has a reason, which a person should look at.
      if (!old || !now || mine.pin === old.pin || !isNewer(mine.version, old.version)) continue;
      moved.set(name, { mine, last: isNewer(now.version, mine.version) ? now : mine });
    }
    if (moved.size === 0) continue;
    const rewrite = async (tree, which) => {
      for (const [path, entry] of tree) {
        if (!matchesGlob(path, glob)) continue;
        const text = await objects.read(entry);
        const next = text.replace(find, (line, ...rest) => {
          const { key, pin } = rest.at(-1);
          const pins = moved.get(scope(path, key));
          return pins ? line.replace(pin, () => pins[which].pin) : line;
        });
        if (next !== text) tree.set(path, `${entry.split(' ')[0]} ${await objects.write(next)}`);
      }
    };
    await rewrite(before, 'mine');
    await rewrite(after, 'last');
  }
}

/** Merges by git. Returns the files of the result, and the stages of those that git could not decide. */
export async function merge(objects, before, after) {
  const identity = { NAME: 'update', EMAIL: 'update@localhost' };
  const env = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((who) =>
      Object.entries(identity).map(([what, value]) => [`GIT_${who}_${what}`, value]),
    ),
  );
  const commit = (tree, ...parents) => {
    const options = parents.flatMap((parent) => ['-p', parent]);
    return objects.git(['commit-tree', tree, '-m', 'update', ...options], { env });
  };
  const base = await commit(await objects.tree(before));
  const sides = {
    'update/yours': await commit('HEAD^{tree}', base),
    'update/template': await commit(await objects.tree(after), base),
  };
  const names = Object.keys(sides);
  // The names of refs are what stands at the marks of a conflict.
  for (const name of names) await objects.git(['update-ref', `refs/${name}`, sides[name]]);
  try {
    const args = ['merge-tree', '--write-tree', '-z', '--no-messages', ...names];
    const output = await objects.git([...SETTINGS, ...args], { codes: [0, 1] });
    const [tree, ...entries] = output.split('\0').filter(Boolean);
    const stages = new Map();
    for (const entry of entries) {
      const [, object, stage, path] = /^(\d+ [0-9a-f]+) ([123])\t(.+)$/s.exec(entry);
      stages.set(path, { ...stages.get(path), [stage]: object });
    }
    return { files: await objects.filesOf(tree), stages };
  } finally {
    for (const name of names) await objects.git(['update-ref', '-d', `refs/${name}`]);
  }
}

/** What the owner has deleted stays deleted, though the template has changed it. Returns these paths. */
export function dropDeleted({ files, stages }) {
  const deleted = [...stages].filter(([, stage]) => !stage[2] && stage[3]).map(([path]) => path);
  for (const path of deleted) {
    files.delete(path);
    stages.delete(path);
  }
  return deleted;
}

/** Brings files into the working tree and the index; all of them or none. */
export async function checkOut(objects, files) {
  await objects.git(['read-tree', '-m', '-u', 'HEAD', await objects.tree(files)]);
}

/** Lets git refuse to commit until somebody has settled these files. */
export async function markUnsettled(objects, stages) {
  const lines = [...stages].flatMap(([path, stage]) => [
    `0 ${'0'.repeat(40)}\t${path}\0`,
    ...Object.entries(stage).map(([number, object]) => `${object} ${number}\t${path}\0`),
  ]);
  await objects.git(['update-index', '-z', '--index-info'], { input: lines.join('') });
}
