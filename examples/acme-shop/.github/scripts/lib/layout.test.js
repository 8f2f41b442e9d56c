import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { layoutOf, platformsOf, verify } from './layout.js';

const TYPE = 'application/vnd.oci.image';

/** Makes a layout with an image for each architecture. */
function makeLayout(t, architectures) {
  const layout = mkdtempSync(join(tmpdir(), 'layout-'));
  t.after(() => rmSync(layout, { recursive: true, force: true }));
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const file = (digest) => join(layout, 'blobs/sha256', digest.split(':')[1]);
  const put = (mediaType, value) => {
    const content = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    writeFileSync(file(digest), content);
    return { mediaType, digest, size: content.length };
  };
  const layers = [put(`${TYPE}.layer.v1.tar`, 'a layer')];
  const manifests = architectures.map((architecture) => {
    const Labels = { for: architecture };
    const config = put(`${TYPE}.config.v1+json`, { os: 'linux', architecture, config: { Labels } });
    return put(`${TYPE}.manifest.v1+json`, { config, layers });
  });
  const image = put(`${TYPE}.index.v1+json`, { manifests });
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ manifests: [image] }));
  return { layout, image, manifests, layer: file(layers[0].digest), file };
}

test('an image is found for every platform, with its labels', (t) => {
  const { layout, image, manifests } = makeLayout(t, ['arm64', 'amd64']);
  assert.deepEqual(verify(layout, image.digest), [
    { platform: 'linux/amd64', descriptor: manifests[1], labels: { for: 'amd64' } },
    { platform: 'linux/arm64', descriptor: manifests[0], labels: { for: 'arm64' } },
  ]);
});

test('one platform of it is a layout too', (t) => {
  const { layout, manifests } = makeLayout(t, ['amd64', 'arm64']);
  const single = join(layout, 'single');
  layoutOf(layout, manifests[1], single);
  assert.deepEqual(
    platformsOf(single).map(({ platform }) => platform),
    ['linux/arm64'],
  );
});

test('another image than the one that was built is refused', (t) => {
  const { layout } = makeLayout(t, ['amd64']);
  const { image } = makeLayout(t, ['arm64']);
  assert.throws(() => verify(layout, image.digest), /must be sha256:/);
});

test('a changed byte is found, in a layer, a configuration, a manifest and an index', (t) => {
  for (const part of ['layer', 'config', 'manifest', 'index']) {
    const { layout, image, manifests, layer, file } = makeLayout(t, ['amd64', 'arm64']);
    const { config } = JSON.parse(readFileSync(file(manifests[1].digest)));
    const parts = {
      layer,
      config: file(config.digest),
      manifest: file(manifests[1].digest),
      index: file(image.digest),
    };
    const content = readFileSync(parts[part]);
    content[content.length - 1] += 1;
    writeFileSync(parts[part], content);
    assert.throws(() => verify(layout, image.digest), /is changed/, part);
  }
});

test('a missing part is found', (t) => {
  const { layout, image, layer } = makeLayout(t, ['amd64']);
  rmSync(layer);
  assert.throws(() => verify(layout, image.digest), /is missing/);
});

test('a path in the place of a digest is refused', (t) => {
  const { layout, image } = makeLayout(t, ['amd64']);
  const digest = 'sha256:../../../etc/passwd';
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ manifests: [{ ...image, digest }] }));
  assert.throws(() => verify(layout, digest), /is no digest/);
});

test('a layout of no image, of two, or of something else is refused', (t) => {
  const { layout, image } = makeLayout(t, []);
  assert.throws(() => platformsOf(layout), /holds no image/);
  const index = (manifests) =>
    writeFileSync(join(layout, 'index.json'), JSON.stringify({ manifests }));
  index([image, image]);
  assert.throws(() => platformsOf(layout), /must name one image; it names 2/);
  index([{ ...image, mediaType: 'text/plain' }]);
  assert.throws(() => platformsOf(layout), /is no image, but text\/plain/);
});
