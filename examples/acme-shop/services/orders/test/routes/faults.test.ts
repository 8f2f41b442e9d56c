import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listen, setup, until } from '../helpers.ts';

test('fault routes do not exist unless they are enabled', async (t) => {
  const { app, exits } = await setup(t, { FAULTS_ENABLED: 'false' });
  for (const [method, url] of [
    ['GET', '/faults/delay/0'],
    ['GET', '/faults/status/500'],
    ['POST', '/faults/block/0'],
    ['POST', '/faults/memory/0'],
    ['POST', '/faults/exit'],
  ] as const) {
    assert.equal((await app.inject({ method, url })).statusCode, 404, url);
  }
  assert.deepEqual(exits, []);
});

test('a delay is as long as asked for', async (t) => {
  const { app } = await setup(t);
  const start = performance.now();
  const response = await app.inject('/faults/delay/50');
  assert.deepEqual(response.json(), { delayed_ms: 50 });
  assert.ok(performance.now() - start >= 45);
});

for (const code of [200, 204, 302, 304, 404, 418, 429, 500, 503, 599]) {
  test(`status ${code} is answered on demand`, async (t) => {
    const { app } = await setup(t);
    const response = await app.inject(`/faults/status/${code}`);
    assert.equal(response.statusCode, code);
    if (code >= 400) assert.equal(response.json().status, code);
    else assert.equal(response.body, '');
  });
}

test('a block lets nothing else run for as long as asked for', async (t) => {
  const { app } = await setup(t);
  let ran = 0;
  const timer = setInterval(() => ran++, 1);
  t.after(() => clearInterval(timer));
  const start = performance.now();
  const response = await app.inject({ method: 'POST', url: '/faults/block/100' });
  const elapsed = performance.now() - start;
  assert.deepEqual(response.json(), { blocked_ms: 100 });
  assert.ok(elapsed >= 100, `${elapsed} ms`);
  assert.ok(ran < elapsed - 90, `a timer ran ${ran} times in ${elapsed} ms`);
});

test('memory is really used, and given back', async (t) => {
  const { app } = await setup(t);
  const grown = async (mib: number) => {
    const before = process.memoryUsage.rss();
    const response = await app.inject({ method: 'POST', url: `/faults/memory/${mib}` });
    assert.deepEqual(response.json(), { held_mib: mib });
    return (process.memoryUsage.rss() - before) / 1024 ** 2;
  };
  assert.ok((await grown(200)) > 150);
  assert.ok(Math.abs(await grown(200)) < 50, 'it replaces what was held');
  assert.ok((await grown(0)) < -150);
});

for (const [method, path] of [
  ['GET', 'delay/60001'],
  ['GET', 'delay/-1'],
  ['GET', 'delay/x'],
  ['GET', 'status/100'],
  ['GET', 'status/600'],
  ['GET', 'status/2e2x'],
  ['POST', 'block/10001'],
  ['POST', 'block/-1'],
  ['POST', 'memory/1025'],
  ['POST', 'memory/-1'],
] as const) {
  test(`/faults/${path} is refused`, async (t) => {
    const { app } = await setup(t);
    assert.equal((await app.inject({ method, url: `/faults/${path}` })).statusCode, 400);
  });
}

test('exit answers first and then ends the process with code 1', async (t) => {
  const { app, exits } = await setup(t);
  const port = await listen(app);
  const response = await fetch(`http://127.0.0.1:${port}/faults/exit`, { method: 'POST' });
  assert.equal(response.status, 202);
  await until(() => exits.length > 0);
  assert.deepEqual(exits, [1]);
});
