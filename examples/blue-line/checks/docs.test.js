// Documents name files, make targets and anchors; each must exist.
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { read, root, services } from './lib/repository.js';

const documents = globSync('**/*.md', {
  cwd: root,
  exclude: (path) => path === 'node_modules' || path.endsWith('/node_modules'),
}).filter((path) => !path.includes('node_modules'));
const makefile = read('Makefile');

const ports = new Set();
for (const service of services) {
  const { ConfigSchema } = await import(`../services/${service}/src/config.ts`);
  ports.add(ConfigSchema.properties.HTTP_PORT.default);
  ports.add(ConfigSchema.properties.METRICS_PORT.default);
}

/** The anchor that GitHub gives a heading. */
const anchor = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

for (const document of documents) {
  const text = read(document);
  const headings = (path) =>
    [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title]) => anchor(title));

  test(`${document}: links lead to files and headings that exist`, () => {
    for (const [, link] of text.matchAll(/(?<!\\)\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path, fragment] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, target)), `${document} links to ${link}: no such file`);
      if (fragment) {
        assert.ok(headings(target).includes(fragment), `${document} links to ${link}: no heading`);
      }
    }
  });

  test(`${document}: local addresses have the ports of a service`, () => {
    for (const [, port] of text.matchAll(/127\.0\.0\.1:(\d+)/g)) {
      assert.ok(
        ports.has(Number(port)),
        `${document} names port ${port}; services listen on ${[...ports].join(', ')} (src/config.ts)`,
      );
    }
  });

  test(`${document}: every make target that it names exists`, () => {
    for (const [, code] of text.matchAll(/(?:^|`)make ([a-z][a-z -]*)/gm)) {
      for (const target of code.trim().split(/\s+/)) {
        const known = new RegExp(`^${target}:`, 'm').test(makefile);
        assert.ok(known, `${document} says \`make ${target}\`; the Makefile has no such target`);
      }
    }
  });
}
