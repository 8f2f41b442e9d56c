// Writes the digests of new images into dev: one commit on main, whose trailer says from which commit
// the images were built.
// Usage: deploy.js SOURCE IMAGES [--pull-request]
// IMAGES is the output of build.js. With --pull-request nothing is pushed to main: for
// a token that may not.
import { parseArgs } from 'node:util';
import { command } from '../../checks/lib/repository.js';
import { summarize } from './lib/actions.js';
import { commit, digestAt, goToMain, isBefore, push, sourceOf } from './lib/git.js';
import { make } from './lib/make.js';
import { propose } from './lib/pull-request.js';

// Others push to main at the same time: people, and promotions.
const TRIES = 5;

/** Why a service is left as it is; undefined when dev gets the digest. */
function reasonAgainst(service, digest, source) {
  const now = digestAt('HEAD', service, 'dev');
  if (now === digest) return `dev runs ${digest} already`;
  const other = now && sourceOf('HEAD', service, now);
  if (other && other !== source && isBefore(source, other)) {
    return `dev runs a newer image, built from ${other}`;
  }
  return undefined;
}

/** Writes the digests and commits them. Returns the message of the commit; undefined if there is none. */
function release(images, source) {
  const written = images.filter(({ service, digest }) => {
    const reason = reasonAgainst(service, digest, source);
    if (reason) console.log(`${service}: ${reason}`);
    return !reason;
  });
  if (written.length === 0) return undefined;
  for (const { service, digest } of written) {
    make('release', 'ENV=dev', `NAME=${service}`, `DIGEST=${digest}`);
  }
  const title = `Release ${written.map(({ service }) => service).join(', ')} to dev`;
  const lines = written.map(({ service, digest }) => `${service}: ${digest}`);
  const message = { title, body: `${lines.join('\n')}\n\nSource: ${source}` };
  commit(`${message.title}\n\n${message.body}`);
  return message;
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'pull-request': { type: 'boolean' } },
  });
  const [source, json] = positionals;
  if (!/^[0-9a-f]{40}$/.test(source) || !json) {
    throw new Error('usage: deploy.js SOURCE IMAGES [--pull-request]');
  }
  const images = JSON.parse(json);
  for (let attempt = 1; ; attempt += 1) {
    goToMain();
    const message = release(images, source);
    if (!message) return;
    if (values['pull-request']) {
      summarize(propose('release/dev', message.title, message.body));
      return;
    }
    try {
      push('main');
      summarize(`${message.title}\n\n${message.body}`);
      return;
    } catch (error) {
      if (attempt === TRIES) throw error;
      console.log(`main has moved, or refuses the push; try ${attempt + 1} of ${TRIES}`);
    }
  }
}

command(main);
