// Changes an environment as it was approved: plans again, and applies that plan when it says the same, word
// for word. The plan itself is not handed over from job to job, as it holds what the state holds.
// Usage: apply-infra.js ENV DIGEST
// DIGEST is that of the text of plan-infra.js. For ROLE_ARN and others see there.
import { command } from '../../checks/lib/repository.js';
import { summarize, warn } from './lib/actions.js';
import { credentials, Terraform } from './lib/terraform.js';

function main() {
  const [environment, digest] = process.argv.slice(2);
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error('usage: apply-infra.js ENV DIGEST');
  const given = credentials();
  if (!given) {
    warn(
      `${environment} is not changed: the environment apply-${environment} on GitHub has no variable AWS_ROLE_ARN. Apply it by hand, with make infra-plan infra-apply ENV=${environment}.`,
    );
    return;
  }
  const terraform = new Terraform(environment, given);
  try {
    terraform.init();
    // Somebody may be at work by hand.
    const plan = terraform.plan('-lock-timeout=10m');
    console.log(plan.text);
    if (!plan.changes) {
      summarize(`${environment}: nothing is left to change.`);
      return;
    }
    if (plan.digest !== digest) {
      throw new Error(
        `${environment} was not changed: it would be something else than what was approved, ${digest}. Run the workflow again, and approve the new plan.`,
      );
    }
    terraform.apply();
    summarize(`${environment} is as ${digest} says.`);
  } finally {
    terraform.close();
  }
}

command(main);
