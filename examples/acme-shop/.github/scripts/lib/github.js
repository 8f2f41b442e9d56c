// Asks GitHub's REST API, by gh and its login.
import { spawnSync } from 'node:child_process';

// Of the two that GitHub serves, the one that its published description is of.
const VERSION = '2022-11-28';

/** What GitHub answers when it does not do something. */
export class Refusal extends Error {
  constructor(status, message) {
    super(`${message} (HTTP ${status})`);
    this.status = status;
  }
}

/**
 * The answer to a request, undefined when it is empty.
 * @throws {Refusal} when GitHub says no.
 */
export function api(method, path, body) {
  const input = body === undefined ? [] : ['--input', '-'];
  const args = ['api', '--method', method, `--header=X-GitHub-Api-Version:${VERSION}`, ...input];
  const { status, error, stdout, stderr } = spawnSync('gh', [...args, path], {
    encoding: 'utf8',
    input: body === undefined ? '' : JSON.stringify(body),
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (error) throw new Error(`gh could not be started: ${error.message}`);
  if (status === 0) return stdout.trim() === '' ? undefined : JSON.parse(stdout);
  if (status === 4) throw new Error('gh is not logged in: run gh auth login');
  const said = stderr.trim().replace(/\s+/g, ' ');
  const [, message, code] = /^gh: (.*?) ?\(HTTP (\d+)\)/.exec(said) ?? [];
  if (code === undefined) throw new Error(`gh ${method} ${path}: ${said}`);
  if (code === '401') throw new Error('GitHub does not accept the login of gh: run gh auth login');
  throw new Refusal(Number(code), message);
}
