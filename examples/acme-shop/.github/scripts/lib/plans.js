// What a job has planned, for jobs after it: the file plan.json of its artifact. The code of a pull request
// has made it, so nothing of it is believed or becomes Markdown.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What people may do about it. */
const WORDS = {
  failed: 'It could not be planned.',
  missing: 'It could not be planned; the log of the run tells why.',
  unconfigured:
    'It was not planned: GitHub has no role for it. docs/delivery.md tells how to give it one.',
  unlocked:
    'It was not planned: nobody has locked its providers, as who makes it does. docs/infra.md tells how.',
};

/** Whether there was nothing to plan yet, which stops no other environment. */
export const isNotYet = ({ status }) => ['unconfigured', 'unlocked'].includes(status);

export function writePlan(folder, plan) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(plan));
}

/** The plan of an environment, of those that jobs have left in a folder. */
export function readPlan(folder, environment) {
  const file = join(folder, `plan-${environment}`, 'plan.json');
  const found = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { status: 'missing' };
  const { status, changes, digest, text } = found;
  return {
    environment,
    status: ['planned', ...Object.keys(WORDS)].includes(status) ? status : 'missing',
    changes: changes === true,
    digest: /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined,
    text: typeof text === 'string' ? text : '',
  };
}

/** The sentence in which Terraform says how much would change. */
function sentenceOf({ status, text }) {
  if (status !== 'planned') return WORDS[status];
  const counted = [...text.matchAll(/^Plan: [\w ,]+\.$/gm)].at(-1)?.[0];
  return counted ?? (/^No changes\./m.test(text) ? 'No changes.' : 'Only outputs change.');
}

/** A plan for people, in at most so many characters. */
export function markdownOf(plan, most) {
  const sentence = sentenceOf(plan);
  const destroys = /[1-9]\d* to destroy/.test(sentence);
  const head = `### Terraform in ${plan.environment}\n\n${destroys ? `**${sentence}**` : sentence}`;
  if (plan.text === '' || sentence === 'No changes.') return head;
  // No run of backticks in it ends the block.
  const longest = Math.max(2, ...(plan.text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const before = `${head}\n\n<details><summary>What it would do</summary>\n\n${fence}text\n`;
  const after = `\n${fence}\n\n</details>`;
  const cut = '\n... and more: the whole text is in the artifact of the run';
  const room = most - before.length - after.length;
  const text =
    plan.text.length <= room ? plan.text : `${plan.text.slice(0, room - cut.length)}${cut}`;
  return `${before}${text}${after}`;
}
