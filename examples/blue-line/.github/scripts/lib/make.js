import { spawnSync } from 'node:child_process';
import { root } from '../../../checks/lib/repository.js';

/**
 * Runs a target of make, without the token of the job: what it starts, a package of checks/ for example,
 * has no use for it.
 */
export function make(...args) {
  const env = { ...process.env, GH_TOKEN: undefined };
  const { status } = spawnSync('make', ['--silent', ...args], { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`make ${args.join(' ')} failed`);
}
