// A git repository of its own for a test: this one's scripts, with two services that have not been
// released anywhere.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { NO_DIGEST, releaseFile, root, services } from '../../../checks/lib/repository.js';

/** A digest of one digit, 64 times. */
export const digestOf = (digit) => `sha256:${digit.repeat(64)}`;

/** Makes the repository; it is deleted after the test. */
export function makeRepository(test) {
  const folder = mkdtempSync(join(tmpdir(), 'repository-'));
  test.after(() => rmSync(folder, { recursive: true }));
  const filter = (path) => !/\/(node_modules|coverage|\.terraform)$/.test(path);
  for (const name of ['.github/scripts', 'checks/lib', 'deploy/environments', 'infra/envs']) {
    cpSync(join(root, name), join(folder, name), { recursive: true, filter });
  }
  for (const service of ['first', 'second']) {
    const [pattern] = services;
    cpSync(join(root, 'services', pattern), join(folder, 'services', service), {
      recursive: true,
      filter,
    });
    cpSync(join(root, 'deploy/apps', pattern), join(folder, 'deploy/apps', service), {
      recursive: true,
    });
  }

  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com'];
  const git = (...args) =>
    execFileSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' }).trim();
  const commit = (message) => {
    git('add', '--all');
    git('commit', '--quiet', `--message=${message}`);
    return git('rev-parse', 'HEAD');
  };
  const repository = {
    folder,
    /** Variables for its scripts. */
    environment: {},
    git,
    commit,
    /** Changes a file of a service and commits it. */
    change(service, message = `Change ${service}`) {
      appendFileSync(join(folder, 'services', service, 'src/server.ts'), `// ${message}\n`);
      return commit(message);
    },
    /** Writes digests into an environment, as { SERVICE: digit }, and commits them. */
    release(digits, message, environment = 'dev') {
      for (const [service, digit] of Object.entries(digits)) {
        const file = join(folder, releaseFile(service, environment));
        const text = readFileSync(file, 'utf8');
        writeFileSync(file, text.replace(/^ {2}digest: .*$/m, `  digest: ${digestOf(digit)}`));
      }
      return commit(message);
    },
    /** Runs a script. Its outputs are those of the step. */
    run(script, ...args) {
      const file = join(folder, '..', `${folder.split('/').at(-1)}-output`);
      writeFileSync(file, '');
      const result = spawnSync(process.execPath, [join('.github/scripts', script), ...args], {
        cwd: folder,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          GITHUB_OUTPUT: file,
          ...repository.environment,
        },
      });
      const lines = readFileSync(resolve(file), 'utf8').split('\n').filter(Boolean);
      rmSync(file);
      const outputs = Object.fromEntries(
        lines.map((line) => {
          const [name, ...value] = line.split('=');
          return [name, JSON.parse(value.join('='))];
        }),
      );
      return { ...result, outputs };
    },
  };
  git('init', '--quiet', '--initial-branch=main');
  for (const environment of ['dev', 'staging', 'production']) {
    for (const service of ['first', 'second']) {
      const file = join(folder, releaseFile(service, environment));
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace(/^ {2}digest: .*$/m, `  digest: ${NO_DIGEST}`));
    }
  }
  commit('Begin');
  return repository;
}
