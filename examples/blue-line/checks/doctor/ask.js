// How the parts of `make doctor` ask other programs, and what they answer with.
import { spawn } from 'node:child_process';

/** What is as it should be. */
export const ok = (text) => ({ level: 'ok', text });
/** What works today, and may not tomorrow; `fix` is a command or a sentence. */
export const warn = (text, fix) => ({ level: 'warn', text, fix });
/** What does not work. */
export const fail = (text, fix) => ({ level: 'fail', text, fix });
/** What could not be asked, or is a matter of taste. */
export const skip = (text, fix) => ({ level: '-', text, fix });

/**
 * Runs a program that can wait for nobody, and ends it with all that it has started when its time is up.
 * @returns {Promise<{status?: number, stdout: string, stderr: string}>} no status when it was not there, or
 *   was ended.
 */
export function ask(program, args, { ms, env = {}, cwd } = {}) {
  const said = { stdout: '', stderr: '' };
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      // A group of its own, so that one signal reaches what it has started.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), ms);
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8').on('data', (text) => {
        said[name] += text;
      });
    }
    child.on('error', () => resolve(said));
    child.on('close', (status) => resolve({ status: status ?? undefined, ...said }));
    child.on('exit', () => clearTimeout(timer));
  });
}

/** Is there such a program? */
export const isHere = async (program) =>
  (await ask('bash', ['-c', 'command -v "$0"', program], { ms: 5000 })).status === 0;
