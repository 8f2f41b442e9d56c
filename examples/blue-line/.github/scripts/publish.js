// Publishes the image of an OCI layout: exactly the one that was built and scanned, or none. Signs it,
// and its SBOMs. What is there already is left as it is, so that a run can be repeated.
// Usage: publish.js SERVICE DIGEST LAYOUT SBOMS [--key KEY]
// SBOMS is the folder that scan.js wrote; KEY is for rehearsals (lib/signing.js).
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { command } from '../../checks/lib/repository.js';
import { output, summarize } from './lib/actions.js';
import { verify } from './lib/layout.js';
import { crane, imageName } from './lib/registry.js';
import { attest, sign } from './lib/signing.js';

/** Whether the registry has something under a name; if it cannot tell, pushing will say why. */
function exists(reference) {
  try {
    return crane('digest', reference) !== '';
  } catch {
    return false;
  }
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { key: { type: 'string' } },
  });
  const [service, digest, layout, sboms] = positionals;
  if (!sboms) throw new Error('usage: publish.js SERVICE DIGEST LAYOUT SBOMS [--key KEY]');
  // Before anything leaves this machine.
  const platforms = verify(layout, digest);
  const image = imageName(service, 'dev');

  // The tag names the commit for people, and with the digest in it never has to move. By `release-` the
  // registry's rules for old images tell it from the tags of signatures.
  const revision = platforms[0].labels['org.opencontainers.image.revision'];
  const tag = `${image}:release-${revision}-${digest.slice('sha256:'.length).slice(0, 12)}`;
  const before = exists(tag);
  if (!before) crane('push', layout, tag);
  const found = crane('digest', tag);
  if (found !== digest) throw new Error(`${tag} is ${found}; it must be ${digest}`);

  const lines = [`${image}@${digest}`, `pushed as ${tag}${before ? ' before' : ''}`];
  lines.push(`signature: ${sign(`${image}@${digest}`, values.key)}`);
  for (const { platform, descriptor } of platforms) {
    const sbom = join(sboms, `${platform.replaceAll('/', '-')}.cdx.json`);
    const done = attest(`${image}@${descriptor.digest}`, sbom, values.key);
    lines.push(`SBOM of ${platform}, ${descriptor.digest}: ${done}`);
  }
  output('image', image);
  summarize(lines.map((line) => `- ${line}`).join('\n'));
}

command(main);
