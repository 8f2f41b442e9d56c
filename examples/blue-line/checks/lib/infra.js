// What can be read from the Terraform files without Terraform. Run as a program, it writes the tables of
// inputs and outputs into the README of each module (make infra-docs).
import { globSync, writeFileSync } from 'node:fs';
import { command, read, root } from './repository.js';

/** The folders of all modules; their own files end in .tf. */
export const modules = [
  ...new Set(
    globSync('infra/{modules/*,bootstrap}/variables.tf', { cwd: root }).map((file) =>
      file.replace(/\/variables\.tf$/, ''),
    ),
  ),
].sort();

/** The folders in which Terraform is run for an environment. */
export const roots = globSync('infra/envs/*/main.tf', { cwd: root })
  .map((file) => file.replace(/\/main\.tf$/, ''))
  .sort();

/**
 * The blocks of a kind in a file, as `terraform fmt` lays them out.
 * @returns a list of [name, text of its body].
 */
export function blocks(file, kind) {
  const pattern = new RegExp(`^${kind} "([^"]+)" \\{\\n(.*?)^\\}`, 'gms');
  return [...read(file).matchAll(pattern)].map(([, name, body]) => [name, body]);
}

/** An argument of a block: its text, on one line, or undefined. */
export function argument(body, name) {
  const [, found] =
    new RegExp(`^  ${name} += (.*\\n(?: {4,}.*\\n|  [\\])}].*\\n)*)`, 'm').exec(body) ?? [];
  return found
    ?.trim()
    .replace(/([{[(])\n\s*/g, '$1 ')
    .replace(/\n\s*(?=[}\])])/g, ' ')
    .replace(/\n\s*/g, ', ')
    .replace(/ +/g, ' ');
}

const text = (quoted) => JSON.parse(quoted);
const code = (value) => `\`${value.replaceAll('|', '\\|')}\``;

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** The tables of a module, as its README shows them. */
export function tables(folder) {
  const inputs = blocks(`${folder}/variables.tf`, 'variable').map(([name, body]) => {
    const preset = argument(body, 'default');
    return [
      code(name),
      text(argument(body, 'description')),
      code(argument(body, 'type')),
      preset === undefined ? 'required' : code(preset),
    ];
  });
  const outputs = blocks(`${folder}/outputs.tf`, 'output').map(([name, body]) => [
    code(name),
    text(argument(body, 'description')),
  ]);
  const inputTable = table(['input', 'what it is', 'type', 'default'], inputs);
  return `## Inputs\n\n${inputTable}\n\n## Outputs\n\n${table(['output', 'what it is'], outputs)}\n`;
}

/** A module's README as it should be: its own words, then the tables. */
export function readme(folder) {
  return `${read(`${folder}/README.md`).split('## Inputs\n')[0].trimEnd()}\n\n${tables(folder)}`;
}

function main() {
  for (const folder of modules) writeFileSync(`${root}/${folder}/README.md`, readme(folder));
}

if (import.meta.main) command(main);
