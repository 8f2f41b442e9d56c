// Versions are pinned in mise.toml. A Dockerfile cannot read it and repeats the version of Node.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { read, root, services } from './lib/repository.js';

const nodeVersion = /^node = "([^"]+)"$/m.exec(read('mise.toml'))?.[1];

test('mise.toml pins Node to one exact version', () => {
  assert.match(nodeVersion ?? '', /^\d+\.\d+\.\d+$/, 'mise.toml: write node = "MAJOR.MINOR.PATCH"');
});

test('manifests are compared with the Kubernetes that kubectl is for', () => {
  const minor = (version) => version?.split('.').slice(0, 2).join('.');
  const kubectl = /kubectl" = "([^"]+)"/.exec(read('mise.toml'))?.[1];
  const schemas = /^KUBERNETES := (.+)$/m.exec(read('Makefile'))?.[1];
  assert.equal(minor(schemas), minor(kubectl), `Makefile: KUBERNETES; mise.toml: kubectl`);
});

for (const service of services) {
  const dockerfile = `services/${service}/Dockerfile`;
  const stages = new Set();
  const bases = [];
  for (const [, image, stage] of read(dockerfile).matchAll(
    /^FROM (?:--\S+ )*(\S+)(?: AS (\S+))?$/gim,
  )) {
    if (!stages.has(image)) bases.push(image);
    stages.add(stage);
  }

  test(`${dockerfile} takes every base image by digest`, () => {
    assert.ok(bases.length > 0, `${dockerfile} has no FROM`);
    for (const base of bases) {
      assert.match(base, /@sha256:[0-9a-f]{64}$/, `${dockerfile}: ${base} needs @sha256:DIGEST`);
    }
  });

  test(`${dockerfile} builds with the Node of mise.toml`, () => {
    const builder = bases.find((base) => base.startsWith('node:'));
    assert.ok(
      builder?.startsWith(`node:${nodeVersion}-`),
      `${dockerfile}: ${builder} must be node:${nodeVersion}-...; mise.toml pins ${nodeVersion}`,
    );
  });

  test(`${dockerfile} needs no emulation: it runs nothing but on the builder's platform`, () => {
    const stages = read(dockerfile)
      .split(/^(?=FROM )/gm)
      .slice(1);
    const emulated = stages.filter(
      (stage) => /^RUN /m.test(stage) && !/^FROM --platform=\$BUILDPLATFORM /.test(stage),
    );
    assert.deepEqual(
      emulated.map((stage) => stage.split('\n')[0]),
      [],
      `${dockerfile}: a stage with RUN must start FROM --platform=$BUILDPLATFORM`,
    );
    const { packages } = JSON.parse(read('services', service, 'package-lock.json'));
    const native = Object.entries(packages)
      .filter(([, entry]) => !entry.dev && (entry.os || entry.cpu || entry.hasInstallScript))
      .map(([path]) => path);
    assert.deepEqual(
      native,
      [],
      `${dockerfile}: packages with machine code differ by platform; install them in a stage of the target's platform`,
    );
  });

  test(`services/${service}/package.json allows the Node of mise.toml and no older major`, () => {
    const { engines } = JSON.parse(read('services', service, 'package.json'));
    const major = nodeVersion.split('.')[0];
    assert.equal(engines?.node, `>=${major}`, `services/${service}/package.json: engines.node`);
  });
}

test('every lockfile holds the exact version and hash of each package', () => {
  const lockfiles = globSync('{services/*,checks}/package-lock.json', { cwd: root });
  assert.equal(lockfiles.length, services.length + 1, 'each service and checks/ has a lockfile');
  for (const file of lockfiles) {
    for (const [path, entry] of Object.entries(JSON.parse(read(file)).packages)) {
      if (path === '' || entry.link) continue;
      assert.ok(entry.version && entry.integrity, `${file}: ${path} has no version or integrity`);
    }
  }
});
