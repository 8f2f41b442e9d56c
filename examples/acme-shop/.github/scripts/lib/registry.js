// The container registry, by crane.
import { spawnSync } from 'node:child_process';
import { read } from '../../../checks/lib/repository.js';

/** What an image of a service is called in the registry of an environment, without its digest. */
export function imageName(service, environment) {
  const facts = `deploy/environments/${environment}/facts.yaml`;
  const registry = /^ {2}registry: "?([^\s"]+)"?$/m.exec(read(facts))?.[1];
  if (!registry || registry.startsWith('000000000000.')) {
    throw new Error(`${facts}: the registry is not known yet: make env-facts ENV=${environment}`);
  }
  return `${registry}/acme-shop/${service}`;
}

/**
 * Runs crane and returns what it prints.
 * @throws {Error} with crane's own message.
 */
export function crane(...args) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
  const { status, error, stdout, stderr } = spawnSync('crane', args, options);
  if (error) throw new Error(`crane could not be started: ${error.message}`);
  if (status !== 0) throw new Error(`crane ${args.join(' ')}\n${stderr}`);
  return stdout.trim();
}
