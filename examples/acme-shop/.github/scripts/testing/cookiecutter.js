// Stands in for cookiecutter in tests. A template's files stand in its folder `files`, and SERVICE in a path
// stands for the answer to service_name.
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const options = {
  'no-input': { type: 'boolean' },
  'config-file': { type: 'string' },
  'output-dir': { type: 'string' },
};
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [template, ...given] = positionals;
const answers = JSON.parse(readFileSync(join(template, 'cookiecutter.json'), 'utf8'));
for (const pair of given) {
  const [name, value] = pair.split(/=(.*)/s);
  if (name in answers) answers[name] = value;
}
const { replay_dir: replay } = JSON.parse(readFileSync(values['config-file'], 'utf8'));
mkdirSync(replay);
writeFileSync(join(replay, 'template.json'), JSON.stringify({ cookiecutter: answers }));
const place = join(values['output-dir'], 'made');
cpSync(join(template, 'files'), place, { recursive: true });
const services = join(place, 'services');
if (readdirSync(place).includes('services'))
  renameSync(join(services, 'SERVICE'), join(services, answers.service_name));
