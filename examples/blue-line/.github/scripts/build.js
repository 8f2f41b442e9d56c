// Builds services, each for every platform, into OCI layouts, and says their digests.
// Usage: build.js LAYOUTS SERVICE...       in the place of a name, a JSON list of names will do
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { command, root } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';
import { imageOf, platformsOf } from './lib/layout.js';

function build(layouts, service) {
  const layout = resolve(layouts, service);
  rmSync(layout, { recursive: true, force: true });
  mkdirSync(join(layout, '..'), { recursive: true });
  const args = ['layout', `NAME=${service}`, `LAYOUT=${layout}`];
  const { status } = spawnSync('make', args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`make ${args.join(' ')} failed`);
  const platforms = platformsOf(layout).map(({ platform }) => platform);
  console.log(`${service}: ${platforms.join(', ')}`);
  return imageOf(layout).digest;
}

function main() {
  const [layouts, ...names] = process.argv.slice(2);
  const services = names.flatMap((name) => (name.startsWith('[') ? JSON.parse(name) : name));
  if (services.length === 0) throw new Error('usage: build.js LAYOUTS SERVICE...');
  output(
    'images',
    services.map((service) => ({ service, digest: build(layouts, service) })),
  );
}

command(main);
