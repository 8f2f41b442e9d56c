// Says which image of a service an environment runs: make release and make promote.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseDocument } from 'yaml';
import { factsOf } from './facts.js';
import { apps, digestOf } from './render.js';
import { command, NO_DIGEST, read, releaseFile, root } from './repository.js';

/**
 * Writes a digest into an environment's release.yaml.
 * @throws {Error} when there is no such service or environment, or the digest is none.
 */
export function release(app, environment, digest) {
  digestIn(app, environment);
  if (!/^sha256:[0-9a-f]{64}$/.test(digest ?? '') || digest === NO_DIGEST) {
    throw new Error(
      `DIGEST=${digest ?? ''}: must be sha256: and 64 of 0-9 and a-f, as the registry names the image`,
    );
  }
  const file = releaseFile(app, environment);
  const document = parseDocument(read(file));
  document.setIn(['image', 'digest'], digest);
  writeFileSync(join(root, file), document.toString({ lineWidth: 0 }));
  return `${file}: ${digest}`;
}

function digestIn(app, environment) {
  factsOf(environment);
  if (!apps.includes(app)) {
    throw new Error(`NAME=${app}: there is no such service; there are ${apps.join(', ')}`);
  }
  return digestOf(app, environment);
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { from: { type: 'string' } },
  });
  const [app, environment, digest] = positionals;
  const from = values.from;
  if (from && digestIn(app, from) === NO_DIGEST) {
    throw new Error(`${app} has not been released to ${from}, so there is nothing to promote`);
  }
  console.log(release(app, environment, from ? digestOf(app, from) : digest));
}

if (import.meta.main) command(main);
