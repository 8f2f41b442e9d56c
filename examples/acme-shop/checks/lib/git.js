// Asks git about this repository.
import { execFileSync } from 'node:child_process';
import { root } from './repository.js';

/**
 * Runs git and returns what it prints.
 * @throws {Error} with git's own message.
 */
export function git(...args) {
  try {
    const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
    return execFileSync('git', args, { ...options, maxBuffer: Number.POSITIVE_INFINITY }).trimEnd();
  } catch (error) {
    throw new Error(`git ${args.join(' ')}\n${error.stderr || error.message}`);
  }
}
