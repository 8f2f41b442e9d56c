// Stands in for gh in tests: GitHub itself cannot run here. It keeps labels, issues and pull requests in
// the JSON file that GH_STATE names, takes no option but those that the scripts use, and, as GitHub does,
// refuses a label that does not exist.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const file = process.env.GH_STATE;
const state = JSON.parse(readFileSync(file, 'utf8'));
state.pulls ??= [];
const [noun, verb, ...rest] = process.argv.slice(2);
const options = (...names) => Object.fromEntries(names.map((name) => [name, { type: 'string' }]));

function read(allowed) {
  return parseArgs({ args: rest, options: allowed, allowPositionals: true });
}

function known(label) {
  if (!state.labels.includes(label)) throw new Error(`could not add label: '${label}' not found`);
  return label;
}

function find([number]) {
  const issue = state.issues.find((candidate) => String(candidate.number) === number);
  if (!issue) throw new Error(`Could not resolve to an issue with the number of ${number}.`);
  return issue;
}

function body(values) {
  if (values['body-file'] !== '-') throw new Error('the body must come from the standard input');
  return readFileSync(0, 'utf8');
}

const commands = {
  'label create'() {
    const { positionals } = read({
      ...options('color', 'description'),
      force: { type: 'boolean' },
    });
    state.labels = [...new Set([...state.labels, ...positionals])];
  },
  'pr list'() {
    const { values } = read(options('head', 'base', 'state', 'json', 'jq'));
    if (values.json !== 'url' || values.jq !== '.[].url') throw new Error('unknown fields');
    const found = state.pulls.filter(
      ({ state: is, head, base }) =>
        is === values.state && head === values.head && base === values.base,
    );
    for (const { url } of found) console.log(url);
  },
  'pr create'() {
    const { values } = read(options('head', 'base', 'title', 'body'));
    const url = `https://github.com/acme/acme-shop/pull/${state.pulls.length + 1}`;
    state.pulls.push({ ...values, state: 'open', url });
    console.log(url);
  },
  'pr edit'() {
    const { values, positionals } = read(options('title', 'body'));
    const [pull] = state.pulls.filter(({ url }) => url === positionals[0]);
    if (!pull) throw new Error(`no pull requests found for ${positionals[0]}`);
    Object.assign(pull, values);
  },
  'issue list'() {
    const { values } = read(options('label', 'state', 'limit', 'json'));
    if (values.state !== 'all') throw new Error('only open issues would be found');
    const fields = values.json.split(',');
    const found = state.issues.filter(({ labels }) => labels.includes(values.label));
    const shown = found.map((issue) =>
      Object.fromEntries(fields.map((field) => [field, issue[field]])),
    );
    console.log(JSON.stringify(shown));
  },
  'issue create'() {
    const { values } = read(options('title', 'label', 'body-file'));
    const number = state.issues.length + 1;
    const labels = [known(values.label)];
    const comments = [];
    state.issues.push({
      number,
      state: 'OPEN',
      title: values.title,
      body: body(values),
      labels,
      comments,
    });
  },
  'issue edit'() {
    const { values, positionals } = read(options('title', 'body-file'));
    Object.assign(find(positionals), { title: values.title, body: body(values) });
  },
  'issue reopen'() {
    find(read({}).positionals).state = 'OPEN';
  },
  'issue close'() {
    const { values, positionals } = read(options('comment'));
    const issue = find(positionals);
    issue.state = 'CLOSED';
    issue.comments.push(values.comment);
  },
};

try {
  const run = commands[`${noun} ${verb}`];
  if (!run) throw new Error(`unknown command "${noun} ${verb}" for "gh"`);
  run();
  state.calls.push(`${noun} ${verb}`);
  writeFileSync(file, JSON.stringify(state));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
