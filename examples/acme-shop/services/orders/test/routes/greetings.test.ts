import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup } from '../helpers.ts';

for (const [path, message] of [
  ['Ana', 'Hello, Ana!'],
  ['Ana?language=de', 'Hallo, Ana!'],
  [`${encodeURIComponent("Zoë O'Neil-李")}?language=fr`, "Bonjour, Zoë O'Neil-李!"],
] as const) {
  test(`/v1/greetings/${path} says ${message}`, async (t) => {
    const { app } = await setup(t);
    const response = await app.inject(`/v1/greetings/${path}`);
    assert.equal(response.statusCode, 200);
    assert.deepEqual(response.json(), { message });
  });
}

test('HEAD answers like GET, without a body', async (t) => {
  const { app } = await setup(t);
  const response = await app.inject({ method: 'HEAD', url: '/v1/greetings/Ana' });
  assert.equal(response.statusCode, 200);
  assert.equal(response.body, '');
});

for (const path of [
  '%00',
  'a%0Ab',
  '%3Cb%3E',
  '%20?language=xx',
  'Ana?language=xx',
  'Ana?lang=de',
]) {
  test(`/v1/greetings/${path} is refused with its violations`, async (t) => {
    const { app } = await setup(t);
    const response = await app.inject(`/v1/greetings/${path}`);
    assert.equal(response.statusCode, 400);
    const { violations } = response.json();
    assert.ok(violations.length >= 1);
    assert.match(violations[0].in, /^(params|querystring)$/);
    assert.notEqual(violations[0].message, '');
  });
}
