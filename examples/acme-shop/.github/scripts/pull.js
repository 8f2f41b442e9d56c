// Gets an image out of the registry into an OCI layout, all its platforms, byte for byte.
// Usage: pull.js REFERENCE LAYOUT
import { command } from '../../checks/lib/repository.js';
import { verify } from './lib/layout.js';
import { crane } from './lib/registry.js';

function main() {
  const [reference, layout] = process.argv.slice(2);
  if (!layout) throw new Error('usage: pull.js REFERENCE LAYOUT');
  const digest = reference.split('@')[1];
  crane('pull', '--format=oci', reference, layout);
  const platforms = verify(layout, digest).map(({ platform }) => platform);
  console.log(`${reference}: ${platforms.join(', ')}`);
}

command(main);
