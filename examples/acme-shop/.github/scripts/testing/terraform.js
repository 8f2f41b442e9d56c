// Stands in for Terraform in tests. TERRAFORM_STATE names a JSON file: `plan` is what it says that it would
// do, "" for nothing; `fails` a command that does not succeed, with what it says then; `calls` what it was
// asked. The template's own tests use the real one.
import { readFileSync, writeFileSync } from 'node:fs';

const file = process.env.TERRAFORM_STATE;
const state = JSON.parse(readFileSync(file, 'utf8'));
const [command, ...args] = process.argv.slice(2);
state.calls.push([command, ...args].join(' '));
writeFileSync(file, JSON.stringify(state));

const commands = {
  init() {},
  plan() {
    const out = args.find((argument) => argument.startsWith('-out=')).slice('-out='.length);
    writeFileSync(out, state.plan || 'No changes. Your infrastructure matches the configuration.');
    process.exitCode = state.plan ? 2 : 0;
  },
  show() {
    console.log(readFileSync(args.at(-1), 'utf8'));
  },
  apply() {
    console.log('Apply complete!');
  },
};

if (state.fails?.command === command) {
  console.error(state.fails.message);
  process.exitCode = 1;
} else {
  commands[command]();
}
