// Shows what Terraform would change in an environment, without changing or locking anything.
// Usage: plan-infra.js ENV FOLDER
// Writes FOLDER/plan.json for the jobs after it, and the page of the run. ROLE_ARN, TF_STATE_BUCKET and
// TF_STATE_KMS_KEY_ARN are variables of the job's environment; without a role nothing is planned, and without
// a lock file of providers neither: then nobody has made the environment yet, and the others go on.
import { command } from '../../checks/lib/repository.js';
import { summarize, warn } from './lib/actions.js';
import { markdownOf, writePlan } from './lib/plans.js';
import { credentials, isLocked, Terraform } from './lib/terraform.js';

// GitHub takes 1 MiB on the page of a step.
const MOST = 500_000;

function plan(environment) {
  const given = credentials();
  if (!given) {
    warn(
      `${environment} is not planned: the environment plan-${environment} on GitHub has no variable AWS_ROLE_ARN. docs/delivery.md tells how to set it.`,
    );
    return { status: 'unconfigured' };
  }
  if (!isLocked(environment)) {
    warn(
      `${environment} is not planned: there is no infra/envs/${environment}/.terraform.lock.hcl. \`make infra-plan ENV=${environment}\` writes it; commit it when you make the environment, as docs/infra.md tells.`,
    );
    return { status: 'unlocked' };
  }
  const terraform = new Terraform(environment, given);
  try {
    terraform.init();
    // It changes nothing, so it may not lock: its role cannot write.
    return { status: 'planned', ...terraform.plan('-lock=false') };
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
    return { status: 'failed', text: error.message };
  } finally {
    terraform.close();
  }
}

function main() {
  const [environment, folder] = process.argv.slice(2);
  if (!folder) throw new Error('usage: plan-infra.js ENV FOLDER');
  const made = { environment, text: '', ...plan(environment) };
  writePlan(folder, made);
  console.log(made.text);
  summarize(markdownOf(made, MOST));
}

command(main);
