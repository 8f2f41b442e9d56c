// Says what is to be approved: the environments that would change, each with the digest of its plan.
// Usage: collect-plans.js PLANS
// PLANS holds the artifact of each environment that ENVIRONMENTS lists, plan-ENV.
import { command } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';
import { isNotYet, readPlan } from './lib/plans.js';

function main() {
  const [folder] = process.argv.slice(2);
  if (!folder || !process.env.ENVIRONMENTS) {
    throw new Error('usage: ENVIRONMENTS=... collect-plans.js PLANS');
  }
  const changes = [];
  for (const environment of JSON.parse(process.env.ENVIRONMENTS)) {
    const plan = readPlan(folder, environment);
    const { status, digest } = plan;
    console.log(`${environment}: ${status}, ${plan.changes ? digest : 'no changes'}`);
    if (isNotYet(plan)) continue;
    if (status !== 'planned' || !digest) throw new Error(`${environment} was not planned`);
    if (plan.changes) changes.push({ environment, digest });
  }
  output('changes', changes);
}

command(main);
