import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup } from '../helpers.ts';

test('a new service is alive and ready', async (t) => {
  const { app } = await setup(t);
  assert.equal((await app.inject('/livez')).statusCode, 200);
  assert.equal((await app.inject('/readyz')).statusCode, 200);
});

test('a draining service is alive but not ready', async (t) => {
  const { app, lifecycle } = await setup(t);
  lifecycle.draining = true;
  assert.equal((await app.inject('/livez')).statusCode, 200);
  const response = await app.inject('/readyz');
  assert.equal(response.statusCode, 503);
  assert.deepEqual(response.json(), { status: 'draining' });
});
