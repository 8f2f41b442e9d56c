// An image as a folder on disk: an OCI image layout, of which every file can be checked by its digest.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const MANIFEST =
  /^application\/vnd\.(oci\.image\.manifest\.v1|docker\.distribution\.manifest\.v2)\+json$/;
const INDEX =
  /^application\/vnd\.(oci\.image\.index\.v1|docker\.distribution\.manifest\.list\.v2)\+json$/;

/**
 * The content that a descriptor of a layout names.
 * @throws {Error} when it is not there, or is not what the descriptor says.
 */
function contentOf(layout, { digest, size }) {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? [];
  if (!hex) throw new Error(`${layout}: ${digest} is no digest`);
  let content;
  try {
    content = readFileSync(join(layout, 'blobs/sha256', hex));
  } catch (error) {
    throw new Error(`${layout}: ${digest} is missing (${error.code})`);
  }
  const found = createHash('sha256').update(content).digest('hex');
  if (found !== hex || content.length !== size) {
    throw new Error(`${layout}: ${digest} is changed: it has ${content.length} bytes of ${found}`);
  }
  return content;
}

/** What the layout holds: the one descriptor of its index.json. */
export function imageOf(layout) {
  const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  if (manifests?.length !== 1) {
    throw new Error(`${layout}/index.json must name one image; it names ${manifests?.length ?? 0}`);
  }
  return manifests[0];
}

/**
 * The image of a layout for each platform, sorted: `platform` is like linux/arm64, `labels` are those
 * that the Dockerfile gives it.
 * @throws {Error} when a part of an image is missing or changed.
 */
export function platformsOf(layout) {
  const found = [];
  const visit = (descriptor) => {
    const content = JSON.parse(contentOf(layout, descriptor));
    if (INDEX.test(descriptor.mediaType)) {
      for (const child of content.manifests) visit(child);
    } else if (MANIFEST.test(descriptor.mediaType)) {
      const config = JSON.parse(contentOf(layout, content.config));
      for (const layer of content.layers) contentOf(layout, layer);
      const platform = [config.os, config.architecture, config.variant].filter(Boolean).join('/');
      found.push({ platform, descriptor, labels: config.config?.Labels ?? {} });
    } else {
      throw new Error(`${layout}: ${descriptor.digest} is no image, but ${descriptor.mediaType}`);
    }
  };
  visit(imageOf(layout));
  if (found.length === 0) throw new Error(`${layout} holds no image for any platform`);
  return found.sort((a, b) => (a.platform < b.platform ? -1 : 1));
}

/** Makes a layout of one platform of another layout, without a copy of its content. */
export function layoutOf(layout, descriptor, target) {
  mkdirSync(target, { recursive: true });
  symlinkSync(resolve(layout, 'blobs'), join(target, 'blobs'));
  writeFileSync(join(target, 'oci-layout'), '{"imageLayoutVersion": "1.0.0"}\n');
  const index = { schemaVersion: 2, manifests: [descriptor] };
  writeFileSync(join(target, 'index.json'), JSON.stringify(index));
}

/**
 * Checks that a layout holds exactly the image of a digest, to the last byte.
 * @returns its platforms, as `platformsOf` does.
 * @throws {Error} when it holds another one, or a part is missing or changed.
 */
export function verify(layout, digest) {
  const found = imageOf(layout).digest;
  if (found !== digest) throw new Error(`${layout} holds ${found}; it must be ${digest}`);
  return platformsOf(layout);
}
