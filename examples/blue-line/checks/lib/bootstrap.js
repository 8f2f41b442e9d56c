// Writes what infra/bootstrap.sh has made to where others look for it: for `terraform init` of each
// environment, and for `make github-setup`. Reads Terraform's outputs as JSON.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command, root } from './repository.js';

export const GITHUB_VARIABLES = 'infra/github-variables.json';

/** What was written before: environments may be in several accounts, and each adds its own. */
function variablesOfBefore(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, GITHUB_VARIABLES), 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { repository: {}, environments: {} };
  }
}

/**
 * Writes the files.
 * @param outputs Terraform's outputs, as `terraform output -json` prints them.
 * @returns the files that were written.
 */
export function writeOutputs(outputs, folder = root) {
  const files = Object.entries(outputs.state_backends.value).map(([environment, backend]) => {
    const lines = Object.entries(backend).map(
      ([name, value]) => `${name} = ${JSON.stringify(value)}`,
    );
    return [`infra/envs/${environment}/state.tfbackend`, lines.join('\n')];
  });
  const before = variablesOfBefore(folder);
  const { repository, environments } = outputs.github_variables.value;
  const variables = {
    repository: { ...before.repository, ...repository },
    environments: { ...before.environments, ...environments },
  };
  files.push([GITHUB_VARIABLES, JSON.stringify(variables, null, 2)]);
  for (const [file, text] of files) writeFileSync(join(folder, file), `${text}\n`);
  return files.map(([file]) => file);
}

function main() {
  const outputs = JSON.parse(readFileSync(0, 'utf8'));
  for (const file of writeOutputs(outputs)) console.log(`wrote ${file}`);
}

if (import.meta.main) command(main);
