// Says which images run, for the daily scan: those that the environments' manifests name, each once.
// Sets the output `images`: service, digest, reference to pull, environments, and a name for files.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { command, root, services } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';
import { digestAt } from './lib/git.js';
import { imageName } from './lib/registry.js';

function main() {
  const environments = readdirSync(join(root, 'deploy/environments')).sort();
  const images = new Map();
  for (const service of services) {
    for (const environment of environments) {
      const digest = digestAt('HEAD', service, environment);
      console.log(`${service} in ${environment}: ${digest ?? 'not released'}`);
      if (!digest) continue;
      const name = `${service}-${digest.slice('sha256:'.length).slice(0, 12)}`;
      const reference = `${imageName(service, environment)}@${digest}`;
      const image = images.get(name) ?? { service, digest, reference, environments: [], name };
      image.environments.push(environment);
      images.set(name, image);
    }
  }
  output('images', [...images.values()]);
}

command(main);
