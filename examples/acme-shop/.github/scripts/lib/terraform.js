// Terraform for an environment, as workflows run it: it asks nothing, and no file or log that people see
// has the number of the AWS account.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../../checks/lib/repository.js';

/** Writes names in the place of account numbers: one for our own, one for each other, as they come. */
export function mask(text, own) {
  const names = new Map([[own, 'ACCOUNT']]);
  return text.replace(/(?<!\d)\d{12}(?!\d)/g, (number) => {
    if (!names.has(number)) names.set(number, `OTHER-ACCOUNT-${names.size}`);
    return names.get(number);
  });
}

const folderOf = (environment) => join(root, 'infra/envs', environment);

/**
 * Whether somebody has run Terraform for an environment by hand and committed which providers that were: the
 * workflow makes none that nobody has begun.
 */
export const isLocked = (environment) =>
  existsSync(join(folderOf(environment), '.terraform.lock.hcl'));

/** Terraform in the folder of an environment, with the role that the job has. */
export class Terraform {
  constructor(environment, { roleArn, bucket, kmsKeyArn }) {
    this.folder = folderOf(environment);
    if (!existsSync(join(this.folder, 'main.tf'))) {
      throw new Error(`${environment}: there is no infra/envs/${environment}`);
    }
    if (!isLocked(environment)) {
      throw new Error(
        `infra/envs/${environment}/.terraform.lock.hcl is missing: \`make infra-plan ENV=${environment}\` writes it; commit it, so that jobs run the provider that you have run`,
      );
    }
    const [, account] = /^arn:[\w-]+:iam::(\d{12}):role\/\S+$/.exec(roleArn) ?? [];
    if (!account) throw new Error(`AWS_ROLE_ARN=${roleArn} is no role`);
    this.account = account;
    this.backend = { bucket, kms_key_id: kmsKeyArn };
    this.scratch = mkdtempSync(join(tmpdir(), 'terraform-'));
    /** The plan holds all that the state holds, secrets too: it never leaves the job. */
    this.file = join(this.scratch, 'plan');
  }

  start(args, stdio) {
    return spawnSync('terraform', args, {
      cwd: this.folder,
      encoding: 'utf8',
      maxBuffer: Number.POSITIVE_INFINITY,
      stdio: ['ignore', stdio, stdio],
      env: { ...process.env, TF_IN_AUTOMATION: '1', TF_INPUT: '0', CHECKPOINT_DISABLE: '1' },
    });
  }

  /** Runs it, and returns its exit code and what it says, as people may see it and as it is. */
  run(...args) {
    const { status, error, stdout, stderr } = this.start(args, 'pipe');
    if (error) throw new Error(`terraform could not be started: ${error.message}`);
    const text = mask(stdout, this.account);
    const [command] = args;
    if (status !== 0 && !(command === 'plan' && status === 2)) {
      const said = mask(stderr, this.account).trim();
      throw new Error(`terraform ${command} ended with ${status}\n${said || text.trim()}`);
    }
    return { status, text, raw: stdout };
  }

  init() {
    const backend = Object.entries(this.backend).map(
      ([name, value]) => `-backend-config=${name}=${value}`,
    );
    this.run('init', '-no-color', '-lockfile=readonly', ...backend);
  }

  /**
   * Plans.
   * @returns whether anything would change, the text that says what, and the digest of that text.
   */
  plan(...options) {
    const { status } = this.run(
      ...['plan', '-no-color', '-detailed-exitcode', `-out=${this.file}`],
      ...options,
    );
    const { text, raw } = this.run('show', '-no-color', this.file);
    // Of others it counts who they are. Ours cannot be found out by it.
    const said = raw.replaceAll(this.account, 'ACCOUNT').trim();
    const digest = `sha256:${createHash('sha256').update(said).digest('hex')}`;
    return { changes: status === 2, text: text.trim(), digest };
  }

  /** Does what was planned. It may take long, so it is heard at once; GitHub masks the log. */
  apply() {
    const { status } = this.start(['apply', '-no-color', this.file], 'inherit');
    if (status !== 0) throw new Error(`terraform apply ended with ${status}`);
  }

  close() {
    rmSync(this.scratch, { recursive: true, force: true });
  }
}

/**
 * What the job has been given to reach an environment: undefined without a role. Each is a variable of the
 * job's environment on GitHub.
 */
export function credentials() {
  const { ROLE_ARN, TF_STATE_BUCKET, TF_STATE_KMS_KEY_ARN } = process.env;
  if (!ROLE_ARN) return undefined;
  return { roleArn: ROLE_ARN, bucket: TF_STATE_BUCKET, kmsKeyArn: TF_STATE_KMS_KEY_ARN };
}
