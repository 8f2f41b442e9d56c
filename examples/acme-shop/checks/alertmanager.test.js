// Alertmanager finds the secrets and templates that its configuration names, and knows every team.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import {
  CONFIG,
  configuration,
  localAlertmanager,
  SECRET,
  secretsOf,
  teams,
} from './lib/alertmanager.js';
import { environments } from './lib/facts.js';
import { apps, objectsOf, render } from './lib/render.js';
import { read, root } from './lib/repository.js';

const FROM_AWS = 'deploy/platform-config/base/notification-secrets.yaml';
const STACK = 'deploy/platform/kube-prometheus-stack/values.yaml';

const config = configuration();
const { spec } = objectsOf(read(FROM_AWS)).find(({ metadata }) => metadata.name === SECRET);
const keys = spec.data.map(({ secretKey }) => secretKey);
const stack = parse(read(STACK))['kube-prometheus-stack'].alertmanager.alertmanagerSpec;
const { files, variables } = secretsOf(config);
const rendered = environments.map((environment) =>
  render(environment).map(({ app, text }) => ({ app, objects: objectsOf(text) })),
);

/** The key of the Secret that each variable of a container is. */
const variablesOf = (containers, name) =>
  Object.fromEntries(
    (containers ?? [])
      .filter((container) => container.name === name)
      .flatMap(({ env }) => env)
      .map(({ name: variable, valueFrom }) => [variable, valueFrom.secretKeyRef]),
  );

test('every secret that the configuration names is fetched', () => {
  for (const file of files) {
    assert.ok(
      keys.includes(file),
      `${CONFIG} reads ${file}: ${FROM_AWS} has no secretKey ${file} for ${SECRET}`,
    );
  }
  for (const [containers, name] of [
    [stack.containers, 'config-reloader'],
    [stack.initContainers, 'init-config-reloader'],
  ]) {
    const filled = variablesOf(containers, name);
    for (const variable of variables) {
      assert.equal(
        filled[variable]?.name,
        SECRET,
        `${CONFIG} holds $(${variable}): ${STACK}, container ${name}, has no such env from ${SECRET}`,
      );
      const { key } = filled[variable];
      assert.ok(keys.includes(key), `${STACK}, ${name}: ${FROM_AWS} has no secretKey ${key}`);
    }
    for (const variable of Object.keys(filled)) {
      assert.ok(variables.includes(variable), `${STACK}: ${CONFIG} does not hold $(${variable})`);
    }
  }
});

test('every secret that is fetched is used', () => {
  const filled = Object.values(variablesOf(stack.containers, 'config-reloader'));
  const used = [...files, ...filled.map(({ key }) => key)];
  for (const key of keys) {
    assert.ok(
      used.includes(key),
      `${FROM_AWS}: ${SECRET} has ${key}, which ${CONFIG} does not read`,
    );
  }
});

test('Alertmanager gets the Secrets under the names that it is told', () => {
  assert.deepEqual(stack.secrets, [SECRET], `${STACK}: alertmanagerSpec.secrets`);
  for (const parts of rendered) {
    const held = parts
      .flatMap(({ objects }) => objects)
      .find(({ kind, metadata }) => kind === 'Secret' && metadata.name === stack.configSecret);
    assert.ok(held, `${STACK}: configSecret is ${stack.configSecret}, which nothing makes`);
    const templates = globSync('monitoring/alertmanager/templates/*.tmpl', { cwd: root });
    assert.deepEqual(
      Object.keys(held.data).sort(),
      ['alertmanager.yaml', ...templates.map((file) => basename(file))].sort(),
      'monitoring/alertmanager/kustomization.yaml lists the configuration and every template',
    );
  }
});

for (const app of apps) {
  test(`somebody is told about ${app}`, () => {
    for (const parts of rendered) {
      const { objects } = parts.find((part) => part.app === app);
      const { metadata } = objects.find(({ kind }) => kind === 'Service');
      const { team } = metadata.labels;
      assert.ok(team, `the Service of ${app} has no label team: nobody in particular is told`);
      assert.ok(
        teams(config).includes(team),
        `${app} is of the team ${team}, and ${CONFIG} has no route for it; see docs/alerting.md`,
      );
    }
  });
}

test('a local Alertmanager has the same configuration, but for what is local', () => {
  const changed = { templates: '/T', secrets: '/S', username: 'U', smarthost: 'localhost:1025' };
  const local = localAlertmanager({ ...changed, faster: 60 });
  const times = { '0s': '0ms', '30s': '500ms', '1m': '1000ms', '90s': '1500ms', '5m': '5000ms' };
  Object.assign(times, { '57m': '57000ms', '23h57m': '1437000ms' });
  const same = (shipped, here, path) => {
    if (typeof shipped === 'object') {
      assert.deepEqual(Object.keys(here), Object.keys(shipped), path);
      for (const key of Object.keys(shipped)) same(shipped[key], here[key], `${path}.${key}`);
    } else if (/\.(group_wait|group_interval|repeat_interval)$/.test(path)) {
      assert.equal(here, times[shipped], path);
    } else if (path.endsWith('.smtp_smarthost')) {
      assert.equal(here, changed.smarthost);
    } else if (path.endsWith('.smtp_require_tls')) {
      assert.equal(here, false);
    } else {
      const wanted = String(shipped)
        .replace(/^\/etc\/alertmanager\/config\//, '/T/')
        .replace(/^\/etc\/alertmanager\/secrets\/[\w-]+\//, '/S/')
        .replace('$(SMTP_USERNAME)', 'U');
      assert.equal(String(here), wanted, path);
    }
  };
  same(config, parse(local), '');
  const unchanged = localAlertmanager({ templates: '/etc/alertmanager/config' });
  assert.equal(unchanged, read(CONFIG));
});
