// Collects what a reviewer of a promotion needs from the registry, and the images to scan. It stops
// when the signature is not that of the release workflow.
// Usage: collect-evidence.js FROM PLAN LAYOUTS EVIDENCE [--key KEY]
// PLAN is the output of plan-promotion.js. Writes LAYOUTS/SERVICE and EVIDENCE/SERVICE.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { command } from '../../checks/lib/repository.js';
import { sourceOf } from './lib/git.js';
import { verify } from './lib/layout.js';
import { crane, imageName } from './lib/registry.js';
import { difference } from './lib/sbom.js';
import { signedSbom, signer, verifySignature } from './lib/signing.js';

// A pull request holds 65,536 characters.
const MOST_LINES = 50;

/** The digest of an image for each platform, by the name of the platform. */
function platformDigests(image) {
  const { manifests = [] } = JSON.parse(crane('manifest', image));
  return new Map(
    manifests.map(({ platform, digest }) => [
      [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/'),
      digest,
    ]),
  );
}

function sbomLines(image, { platform, descriptor }, previous, key) {
  const after = signedSbom(`${image}@${descriptor.digest}`, key);
  const count = after.components?.length ?? 0;
  const line = `- SBOM of ${platform}: signed, ${count} components`;
  const digest = previous.get(platform);
  if (!digest) return [`${line}; there is none to compare it with`];
  let before;
  try {
    before = signedSbom(`${image}@${digest}`, key);
  } catch {
    return [`${line}; the one before has no signed SBOM to compare it with`];
  }
  const changes = difference(before, after);
  if (changes.length === 0) return [`${line}; the same as before`];
  const shown = changes.slice(0, MOST_LINES).map((change) => `  - ${change}`);
  const rest = changes.length - shown.length;
  return [`${line}; changed:`, ...shown, ...(rest > 0 ? [`  - and ${rest} more`] : [])];
}

function collect({ service, digest, before }, from, layouts, key) {
  const image = imageName(service, from);
  const layout = join(layouts, service);
  crane('pull', '--format=oci', `${image}@${digest}`, layout);
  const platforms = verify(layout, digest);
  verifySignature(`${image}@${digest}`, key);
  const source = sourceOf('HEAD', service, digest);
  for (const { platform, labels } of platforms) {
    const revision = labels['org.opencontainers.image.revision'];
    if (source && !(revision && source.startsWith(revision))) {
      throw new Error(`${service} for ${platform} was built from ${revision}; git says ${source}`);
    }
  }
  const previous = before ? platformDigests(`${image}@${before}`) : new Map();
  return [
    `- image: \`${image}@${digest}\``,
    `- replaces: ${before ? `\`${before}\`` : 'nothing, this is the first one'}`,
    `- signature: valid, by ${key ? 'a key, for a rehearsal' : `\`${signer().subject}\``}`,
    ...platforms.flatMap((entry) => sbomLines(image, entry, previous, key)),
  ];
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { key: { type: 'string' } },
  });
  const [from, plan, layouts, evidence] = positionals;
  if (!evidence) {
    throw new Error('usage: collect-evidence.js FROM PLAN LAYOUTS EVIDENCE [--key KEY]');
  }
  mkdirSync(layouts, { recursive: true });
  mkdirSync(evidence, { recursive: true });
  for (const entry of JSON.parse(plan)) {
    const lines = collect(entry, from, layouts, values.key);
    writeFileSync(join(evidence, `${entry.service}.md`), `${lines.join('\n')}\n`);
    console.log(`${entry.service}:\n${lines.join('\n')}`);
  }
}

command(main);
