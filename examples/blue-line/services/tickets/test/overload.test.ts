import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup, until } from './helpers.ts';

test('API requests above the limit get 503 with Retry-After, probes still answer', async (t) => {
  const { app, metrics } = await setup(t, { MAX_IN_FLIGHT: '1' });
  const first = app.inject('/faults/delay/100');
  await until(() => metrics.inFlight === 1);
  const second = await app.inject('/v1/greetings/Ana');
  assert.equal(second.statusCode, 503);
  assert.match(String(second.headers['content-type']), /^application\/problem\+json/);
  assert.match(String(second.headers['retry-after']), /^\d+$/);
  assert.equal((await app.inject('/livez')).statusCode, 200);
  assert.equal((await app.inject('/readyz')).statusCode, 200);
  assert.equal((await first).statusCode, 200);
  assert.equal((await app.inject('/v1/greetings/Ana')).statusCode, 200);
});

test('a busy event loop sheds API requests and recovers', async (t) => {
  const { app } = await setup(t, { MAX_EVENT_LOOP_DELAY_MS: '50' });
  const status = async () => (await app.inject('/v1/greetings/Ana')).statusCode;
  assert.equal(await status(), 200);
  const stop = setInterval(() => {
    const end = performance.now() + 150;
    while (performance.now() < end);
  }, 1);
  t.after(() => clearInterval(stop));
  await until(async () => (await status()) === 503);
  assert.equal((await app.inject('/livez')).statusCode, 200);
  clearInterval(stop);
  await until(async () => (await status()) === 200);
});
