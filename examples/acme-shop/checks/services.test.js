// A service is named by its folder. Formats that cannot read a folder's name repeat it.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { read, root, services } from './lib/repository.js';
import { rules } from './lib/rules.js';

test('there is a service', () => {
  assert.ok(services.length > 0, 'services/ is empty');
});

for (const service of services) {
  test(`services/${service} calls itself by the name of its folder`, () => {
    const label = /org\.opencontainers\.image\.title="([^"]*)"/.exec(
      read('services', service, 'Dockerfile'),
    )?.[1];
    const names = {
      'package.json': JSON.parse(read('services', service, 'package.json')).name,
      'package-lock.json': JSON.parse(read('services', service, 'package-lock.json')).name,
      'Dockerfile, image title': label,
    };
    for (const [place, name] of Object.entries(names)) {
      assert.equal(name, service, `services/${service}/${place} says ${name}, not ${service}`);
    }
  });

  test(`services/${service} is told of before its heap is full`, () => {
    // With a smaller heap a leak ends the process below the line of the alert.
    const { expr } = rules().find(({ alert }) => alert === 'MemoryNearLimit');
    const line = 100 * Number(/> ([\d.]+)$/.exec(expr)[1]);
    const dockerfile = read('services', service, 'Dockerfile');
    const heap = /^ENTRYPOINT .*"--max-old-space-size-percentage=(\d+)"/m.exec(dockerfile)?.[1];
    assert.ok(
      Number(heap) >= line,
      `services/${service}/Dockerfile, ENTRYPOINT: MemoryNearLimit fires above ${line} % of the memory, ` +
        `so write "--max-old-space-size-percentage=${line}" or more; it has ${heap ?? 'none'}`,
    );
  });

  test(`services/${service} has tests`, () => {
    // Without any, node --test finds nothing to do and calls that a success.
    const files = globSync('test/**/*.test.ts', { cwd: join(root, 'services', service) });
    assert.ok(files.length > 0, `services/${service}/test holds no *.test.ts`);
  });
}
