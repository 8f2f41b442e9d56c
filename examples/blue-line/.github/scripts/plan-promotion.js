// Says what a promotion changes: for each service the digest, and the one that it replaces.
// Usage: plan-promotion.js SERVICE FROM TO
// SERVICE may be `all`: then those that are the same in both, or not released, are left out.
import { command, services } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';
import { digestAt } from './lib/git.js';
import { imageName } from './lib/registry.js';

function main() {
  const [wanted, from, to] = process.argv.slice(2);
  if (!to) throw new Error('usage: plan-promotion.js SERVICE FROM TO');
  if (from === to) throw new Error(`from ${from} to ${to}: these are the same`);
  const all = wanted === 'all';
  if (!all && !services.includes(wanted)) {
    throw new Error(`${wanted}: there is no such service; there are ${services.join(', ')}`);
  }
  const plan = [];
  for (const service of all ? services : [wanted]) {
    const digest = digestAt('HEAD', service, from);
    const before = digestAt('HEAD', service, to);
    if (!digest && !all) throw new Error(`${service} has not been released to ${from}`);
    if (!digest || digest === before) {
      console.log(`${service}: ${digest ? `${to} runs it already` : `not released to ${from}`}`);
      continue;
    }
    if (imageName(service, from) !== imageName(service, to)) {
      throw new Error(`${from} and ${to} have different registries: a digest alone is not enough`);
    }
    plan.push({ service, digest, before });
  }
  output('plan', plan);
  output(
    'services',
    plan.map(({ service }) => service),
  );
}

command(main);
