// How a script speaks to GitHub Actions.
import { appendFileSync } from 'node:fs';

const append = (variable, text) => {
  const file = process.env[variable];
  if (file) appendFileSync(file, text);
  else process.stdout.write(text);
};

/** Sets an output of the step. What is no text is written as JSON. Elsewhere it is printed. */
export function output(name, value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (text.includes('\n')) throw new Error(`${name}: an output is one line`);
  append('GITHUB_OUTPUT', `${name}=${text}\n`);
}

/** Adds Markdown to the page of the run. Elsewhere it is printed. */
export const summarize = (markdown) => append('GITHUB_STEP_SUMMARY', `${markdown}\n`);

/** Says something on the page of the run that somebody should see. */
export const warn = (text) =>
  console.log(process.env.GITHUB_ACTIONS ? `::warning::${text.replaceAll('\n', ' ')}` : text);
