// make doctor: says what does not fit here, in the repository, on GitHub and in AWS, and what mends it. It
// changes nothing. Usage: doctor.js PROGRAM... - those that `make check` needs.
import { styleText } from 'node:util';
import { fail } from './ask.js';
import { amazon, github, pins, template } from './elsewhere.js';
import { facts, machine, programs, support, waivers } from './here.js';

const COLORS = { ok: 'green', warn: 'yellow', fail: 'red', '-': 'dim' };

const SECTIONS = {
  'This machine': machine,
  Programs: () => programs(process.argv.slice(2)),
  'Newer programs': pins,
  Support: support,
  Waivers: waivers,
  'Facts of environments': facts,
  Template: template,
  GitHub: github,
  AWS: amazon,
};

/** What a part finds. One that stops tells so, and the others go on. */
async function look(part) {
  try {
    return await part();
  } catch (error) {
    return [fail(`this part stopped: ${error.message}`, 'make check may say more')];
  }
}

function show({ level, text, fix }) {
  console.log(`  ${styleText(COLORS[level], level.padEnd(4))}  ${text}`);
  if (fix) console.log(`        -> ${fix}`);
}

// All at once, as each waits for others; told one after the other.
const parts = Object.entries(SECTIONS).map(([title, part]) => [title, look(part)]);
const levels = [];
for (const [title, part] of parts) {
  const found = await part;
  console.log(styleText('bold', title));
  for (const finding of found) show(finding);
  levels.push(...found.map(({ level }) => level));
}
const number = (wanted) => levels.filter((level) => level === wanted).length;
console.log(`\n${number('fail')} to mend, ${number('warn')} to look at, ${number('-')} not asked.`);
process.exitCode = number('fail') > 0 ? 1 : 0;
