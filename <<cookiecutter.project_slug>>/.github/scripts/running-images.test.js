import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const repository = resolve(import.meta.dirname, '../..');
const [service] = readdirSync(join(repository, 'services'));
const digest = (digit) => `sha256:${digit.repeat(64)}`;
const name = (digit) => `${service}-${digit.repeat(12)}`;

let copy;

before(() => {
  copy = mkdtempSync(join(tmpdir(), 'running-'));
  const filter = (path) => !path.endsWith('/node_modules');
  for (const folder of ['.github/scripts', 'checks/lib', 'services', 'deploy']) {
    cpSync(join(repository, folder), join(copy, folder), { recursive: true, filter });
  }
  execFileSync('git', ['init', '--quiet', copy]);
});

after(() => rmSync(copy, { recursive: true }));

function write(file, pattern, line) {
  const text = readFileSync(join(copy, file), 'utf8');
  assert.match(text, pattern, file);
  writeFileSync(join(copy, file), text.replace(pattern, line));
}

/** The images after environments have got these digests; none for those of zeros. */
function imagesOf(digests) {
  for (const [environment, digit] of Object.entries(digests)) {
    const release = `deploy/apps/${service}/overlays/${environment}/release.yaml`;
    write(release, /^ {2}digest: .*$/m, `  digest: ${digest(digit)}`);
    const registry = `  registry: registry.example/${environment}`;
    write(`deploy/environments/${environment}/facts.yaml`, /^ {2}registry: .*$/m, registry);
  }
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com'];
  const git = (...args) => execFileSync('git', [...identity, '-C', copy, ...args]);
  git('add', '--all');
  git('commit', '--quiet', '--allow-empty', '--message=Change');
  const output = join(copy, 'output');
  writeFileSync(output, '');
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(copy, '.github/scripts/running-images.js')],
    { env: { PATH: process.env.PATH, GITHUB_OUTPUT: output }, encoding: 'utf8' },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(/^images=(.*)$/m.exec(readFileSync(output, 'utf8'))[1]);
}

test('before the first release nothing runs', () => {
  assert.deepEqual(imagesOf({ dev: '0', staging: '0', production: '0' }), []);
});

test('a digest that several environments run is scanned once, and says where it runs', () => {
  const images = imagesOf({ dev: 'b', staging: 'a', production: 'a' });
  assert.deepEqual(
    images.map((image) => [image.name, image.environments]),
    [
      [name('b'), ['dev']],
      [name('a'), ['production', 'staging']],
    ],
  );
  assert.equal(images[0].digest, digest('b'));
  assert.equal(images[0].service, service);
  assert.match(images[0].reference, /^registry\.example\/dev\/[\w-]+\/[\w-]+@sha256:b{64}$/);
});
