import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listen, setup, until } from '../helpers.ts';

test('fault routes do not exist unless they are enabled', async (t) => {
  const { app, exits } = await setup(t, { FAULTS_ENABLED: 'false' });
  for (const [method, url] of [
    ['GET', '/faults/delay/0'],
    ['GET', '/faults/status/500'],
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

for (const path of [
  'delay/60001',
  'delay/-1',
  'delay/x',
  'status/100',
  'status/600',
  'status/2e2x',
]) {
  test(`/faults/${path} is refused`, async (t) => {
    const { app } = await setup(t);
    assert.equal((await app.inject(`/faults/${path}`)).statusCode, 400);
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
