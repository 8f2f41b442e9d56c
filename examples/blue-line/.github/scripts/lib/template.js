// The template that this repository was made from: its releases, what it makes of the answers, and what
// its changes ask of an owner.
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareVersions } from '../../../checks/lib/versions.js';

const PROGRAM = 'pipx run --spec cookiecutter==2.7.1 cookiecutter';

const start = promisify(execFile);

/**
 * Runs git in a folder and returns what it prints, without the end of the last line unless it is to be `raw`.
 * `codes` are the exit codes that are no failure.
 * @throws {Error} with git's own message.
 */
export async function gitIn(folder, args, { env, input, codes = [0], raw = false } = {}) {
  const options = { cwd: folder, env: { ...process.env, ...env }, maxBuffer: 2 ** 30 };
  try {
    const running = start('git', args, options);
    // A program that ends before it has read all of it tells by its exit code.
    running.child.stdin.on('error', () => {}).end(input);
    const { stdout } = await running;
    return raw ? stdout : stdout.trimEnd();
  } catch (error) {
    if (codes.includes(error.code)) return error.stdout.trimEnd();
    throw new Error(`git ${args.join(' ')}\n${error.stderr || error.message}`);
  }
}

const isRelease = (tag) => /^v\d+\.\d+\.\d+$/.test(tag);

/** A checkout of the template, with all its history. */
export class Template {
  constructor(folder, url) {
    this.folder = folder;
    this.url = url;
  }

  /** Gets it into a new folder. */
  static async get(url, folder) {
    try {
      await gitIn('.', ['clone', '--quiet', '--no-checkout', '--', url, folder]);
    } catch (error) {
      throw new Error(`The template cannot be read from ${url} (.cruft.json):\n${error.message}`);
    }
    return new Template(folder, url);
  }

  git(...args) {
    return gitIn(this.folder, args);
  }

  /** The commit of a tag, a branch or a commit; undefined when there is none. */
  async commit(name) {
    for (const ref of [`refs/tags/${name}`, `refs/remotes/origin/${name}`, name]) {
      const args = ['rev-parse', '--quiet', '--verify', '--end-of-options', `${ref}^{commit}`];
      const found = await this.git(...args).catch(() => undefined);
      if (found) return found;
    }
    return undefined;
  }

  /** The tags of releases, the newest first. */
  async releases() {
    const tags = (await this.git('tag', '--list', 'v*')).split('\n').filter(isRelease);
    return tags.sort((one, other) => compareVersions(other, one));
  }

  /** How people call a commit: by its release, or by its first digits. */
  async nameOf(commit) {
    const tags = (await this.git('tag', '--points-at', commit)).split('\n').filter(isRelease);
    return tags[0] ?? commit.slice(0, 12);
  }

  async isBefore(first, second) {
    const asked = this.git('merge-base', '--is-ancestor', first, second);
    return asked.then(
      () => true,
      () => false,
    );
  }

  /** The changelog at a commit. */
  changelog(commit) {
    return this.git('cat-file', 'blob', `${commit}:CHANGELOG.md`).catch(() => '');
  }

  /** The template as it was at a commit, in a folder of its own. */
  async at(commit, folder) {
    await this.git('worktree', 'add', '--quiet', '--detach', folder, commit);
    return folder;
  }
}

/** Where a template begins, in the answers as in the files. In two halves, as this file is made by one. */
const BEGIN = '<'.repeat(2);

/** A text as cookiecutter gives it back: it reads answers as templates. What is quoted already stays. */
const quoted = (value) =>
  value.includes(`${BEGIN} '`)
    ? value
    : value.replace(/<(?=[%#<])|^#(?=%)/g, (mark) => `${BEGIN} '${mark}' >>`);

/** The answers of a person among what cookiecutter knows; the others are derived from them. */
export const answersIn = (context) =>
  Object.fromEntries(Object.entries(context).filter(([name]) => !name.startsWith('_')));

/**
 * Makes a repository of a template and answers, in a new folder.
 * @returns {{folder: string, context: object}} where it is, and all that cookiecutter knew.
 */
export async function bake(template, answers, folder) {
  mkdirSync(folder);
  const config = join(folder, 'config.yaml');
  const [made, replay] = ['made', 'replay'].map((name) => join(folder, name));
  // Instead of the person's own, whose defaults would answer new questions. JSON is YAML too.
  writeFileSync(config, JSON.stringify({ replay_dir: replay, default_context: {} }));
  const [program, ...first] = (process.env.COOKIECUTTER || PROGRAM).split(' ');
  const given = Object.entries(answers).map(([name, value]) => `${name}=${quoted(String(value))}`);
  const options = ['--no-input', `--config-file=${config}`, `--output-dir=${made}`];
  try {
    await start(program, [...first, ...options, template, ...given]);
  } catch (error) {
    if (error.code === 'ENOENT') {
      throw new Error(
        `${program} is missing: install it (https://pipx.pypa.io), or name a cookiecutter that is here: COOKIECUTTER=cookiecutter`,
      );
    }
    throw new Error((error.stderr || error.stdout || error.message).trim());
  }
  const [context] = readdirSync(replay).map((name) =>
    JSON.parse(readFileSync(join(replay, name), 'utf8')),
  );
  return { folder: join(made, readdirSync(made)[0]), context: context.cookiecutter };
}

/** Does something with each of a list, as much at once as this machine can. */
export async function inParallel(list, work) {
  const results = [];
  const waiting = [...list.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      results[next[0]] = await work(next[1]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return results;
}

const sectionsOf = (changelog) =>
  changelog
    .split(/^(?=## )/m)
    .filter((text) => text.startsWith('## '))
    .map((text) => text.trim());

/** The sections of a changelog that an older one does not have, as they are. */
export function news(before, after) {
  const known = new Set(sectionsOf(before));
  const titles = new Set([...known].map((text) => text.split('\n')[0]));
  return sectionsOf(after).filter((text) => {
    const [title, ...rest] = text.split('\n');
    // A release does not change; what has not been released does.
    const open = title.startsWith('## Unreleased');
    return rest.join('').trim() !== '' && (open ? !known.has(text) : !titles.has(title));
  });
}

/** What sections of a changelog ask of an owner. */
export const toDo = (sections) =>
  sections.flatMap((text) => {
    const [, found] = /^### To do\n+([\s\S]*?)(?=\n### |$(?![\s\S]))/m.exec(text) ?? [];
    return found ? [found.trim()] : [];
  });
