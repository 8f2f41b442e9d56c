// A page for each alert, which says what its rule says, and nothing that is not here.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { environments, factsOf } from './lib/facts.js';
import { read, root, services } from './lib/repository.js';
import { rules } from './lib/rules.js';
import {
  blocks,
  conditions,
  literals,
  numbersIn,
  numbersOf,
  numberWords,
  page,
  pages,
  sections,
  seriesOf,
  telling,
  thresholds,
} from './lib/runbooks.js';

const alerts = rules().filter(({ alert }) => alert);
const names = [...new Set(alerts.map(({ alert }) => alert))].sort();
const recorded = new Set(rules().map(({ record }) => record));
const README = 'runbooks/README.md';

const HEADINGS = ['Fires when', 'First look', 'Likely causes', 'What to do', 'Rehearse'];
// Measured by others than the services, so no rule has to record it first.
const OTHERS = /^(up|ALERTS|(kube|container|scrape|alertmanager|prometheus)_\w+)$/;
const oneLine = (text) => text.trim().replace(/\s+/g, ' ');

const namespaces = new Set(
  globSync('deploy/policies/namespaces/*.yaml', { cwd: root })
    .flatMap((file) => parseAllDocuments(read(file)).map((document) => document.toJS()))
    .filter(({ kind }) => kind === 'Namespace')
    .map(({ metadata }) => metadata.name),
);

test('every alert has a page, every page an alert', () => {
  for (const name of names) {
    assert.ok(pages().includes(name), `${name}: there is no runbooks/${name}.md`);
  }
  for (const name of pages()) {
    assert.ok(names.includes(name), `runbooks/${name}.md: there is no alert ${name}`);
  }
});

test('the list of runbooks has every alert with its severity', () => {
  const rows = [...read(README).matchAll(/^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|/gm)];
  const listed = rows.map(([, name]) => name);
  assert.deepEqual(listed.toSorted(), names, `${README}: its table must list each alert once`);
  for (const [, name, link, severity] of rows) {
    assert.equal(link, name, `${README}: the link of ${name}`);
    const { labels } = alerts.find(({ alert }) => alert === name);
    assert.equal(severity, labels.severity, `${README}: the severity of ${name}`);
  }
});

test('the list of runbooks opens what the links of messages lead to', () => {
  const urls = /^(grafana|prometheus|alertmanager)Url$/;
  for (const facts of environments.map(factsOf)) {
    for (const [name, url] of Object.entries(facts).filter(([name]) => urls.test(name))) {
      const [, port] = /^http:\/\/localhost:(\d+)$/.exec(url) ?? [];
      if (!port) continue;
      const opened = new RegExp(`port-forward \\S+-${name.replace('Url', '')} ${port}:`);
      assert.match(read(README), opened, `${README}: ${name} is ${url}, which nothing opens`);
    }
  }
});

for (const name of pages().filter((name) => names.includes(name))) {
  const file = `runbooks/${name}.md`;
  const text = page(name);
  const own = alerts.filter(({ alert }) => alert === name);

  test(`${file}: its headings`, () => {
    assert.ok(text.startsWith(`# ${name}\n\n`), `${file} must begin with # ${name}`);
    const found = Object.keys(sections(text)).filter((title) => title !== 'When it is over');
    assert.deepEqual(found, HEADINGS, `${file}: its headings`);
  });

  test(`${file}: fires when its rule says`, () => {
    const line = ({ severity, after, window, expr }) =>
      `**${severity}**, ${after ? `after ${after}` : 'at once'}${window ? `, window ${window}` : ''}: ` +
      `... ${oneLine(expr)}`;
    const told = conditions(text).map(line);
    const wanted = own.map(({ labels, for: after, expr }) => line({ ...labels, after, expr }));
    const difference = `\n${told.join('\n')}\nIts rule:\n${wanted.join('\n')}`;
    assert.deepEqual(told, wanted, `${file}: "Fires when" says:${difference}`);
  });

  test(`${file}: its numbers are those of its rule`, () => {
    assert.deepEqual(
      numberWords(text),
      [],
      `${file}: write numbers in digits, to have them compared`,
    );
    const all = new Set(own.flatMap((rule) => [...numbersOf(rule)]));
    for (const { written, value } of numbersIn(text)) {
      assert.ok(all.has(value), `${file} says ${written}, which no rule of ${name} does`);
    }
    for (const query of blocks(sections(text)['First look'], 'promql')) {
      for (const number of literals(query).filter(telling)) {
        assert.ok(all.has(number), `${file}: a query has ${number}, which no rule of ${name} has`);
      }
    }
    for (const [index, { words }] of conditions(text).entries()) {
      const rule = own[index];
      const said = numbersIn(words);
      for (const { written, value } of said) {
        const known = numbersOf(rule).has(value);
        assert.ok(known, `${file} says ${written}, which the rule beside it does not`);
      }
      for (const number of thresholds(rule)) {
        const known = said.some(({ value }) => [number, `${number} s`].includes(value));
        assert.ok(known, `${file} does not say in words the ${number} of its rule`);
      }
    }
  });

  test(`${file}: its queries read what there is`, () => {
    assert.ok(blocks(sections(text)['First look'], 'promql').length > 0, `${file}: no query`);
    for (const query of blocks(text, 'promql')) {
      for (const series of seriesOf(query)) {
        const known = recorded.has(series) || OTHERS.test(series);
        assert.ok(known, `${file} reads ${series}; no rule in monitoring/rules/ records it`);
      }
    }
  });

  test(`${file}: how to rehearse it`, () => {
    const commands = blocks(sections(text).Rehearse, 'sh').map((block) => block.trim());
    assert.equal(commands[0], `make rehearse ALERT=${name}`, `${file}: what Rehearse begins with`);
  });
}

for (const name of [...pages(), 'README']) {
  const file = `runbooks/${name}.md`;
  const text = page(name);

  test(`${file}: kubectl asks in namespaces that exist`, () => {
    const commands = text.matchAll(/kubectl (?:--namespace (\S+) )?([a-z]\S*)(?: (\w+))?/g);
    for (const [shown, namespace, verb, kind] of commands) {
      if (kind === 'nodes' || verb === 'drain') continue;
      assert.ok(namespaces.has(namespace), `${file}: ${shown}: in which namespace of ours?`);
    }
  });

  test(`${file}: what asks through a port-forward gets an answer of its pod, or an error`, () => {
    const own = [...page('README').matchAll(/port-forward \S+ (\d+):\S+ &/g)].map(
      ([, port]) => port,
    );
    for (const block of blocks(text, 'sh')) {
      const [, port, after] = /port-forward \S+ (\d+):\S+ &\n([\s\S]*)/.exec(block) ?? [];
      if (!after?.includes('curl')) continue;
      assert.ok(!own.includes(port), `${file}: ${README} forwards ${port} already, to another pod`);
      const lines = after.split('\n').map((line) => line.trim());
      assert.match(lines[0], /^sleep \d/, `${file}: curl must wait until ${port} is forwarded`);
      assert.match(lines[1], /--show-error/, `${file}: curl must say why nothing answers`);
      assert.match(lines[1], new RegExp(`:${port}/`), `${file}: curl must ask port ${port}`);
      assert.equal(lines[2], 'kill $!', `${file}: the port-forward must end`);
    }
  });

  test(`${file}: the fault switches that it uses exist`, () => {
    for (const [path, fault] of text.matchAll(/\/faults\/(\w+)/g)) {
      for (const service of services) {
        const source = read(`services/${service}/src/routes/faults.ts`);
        assert.match(
          source,
          new RegExp(`'/faults/${fault}\\b`),
          `${file}: ${service} has no ${path}`,
        );
      }
    }
  });
}
