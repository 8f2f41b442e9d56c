import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup } from '../helpers.ts';

const line = { sku: 'TEA-1', quantity: 2, unit_price: 250 };
const post = { method: 'POST', url: '/v1/quotes' } as const;

test('a quote has the amount of each line and the total', async (t) => {
  const { app } = await setup(t);
  const lines = [line, { sku: 'CUP', quantity: 1, unit_price: 99 }];
  const response = await app.inject({ ...post, payload: { currency: 'EUR', lines } });
  assert.equal(response.statusCode, 200);
  assert.deepEqual(response.json(), {
    currency: 'EUR',
    lines: [
      { ...lines[0], amount: 500 },
      { ...lines[1], amount: 99 },
    ],
    total: 599,
  });
});

test('the largest quote that is accepted is exact', async (t) => {
  const { app } = await setup(t);
  const lines = Array(100).fill({ sku: 'GOLD', quantity: 1000, unit_price: 1_000_000_000 });
  const response = await app.inject({ ...post, payload: { currency: 'EUR', lines } });
  assert.equal(response.json().total, 100_000_000_000_000);
});

test('all violations are listed with the place of each', async (t) => {
  const { app } = await setup(t);
  const response = await app.inject({
    ...post,
    payload: { currency: 'eur', lines: [line, { ...line, quantity: 0, unit_price: null }] },
  });
  assert.equal(response.statusCode, 400);
  assert.deepEqual(
    response.json().violations.map((each: Record<string, string>) => `${each.in}${each.path}`),
    ['body/currency', 'body/lines/1/quantity', 'body/lines/1/unit_price'],
  );
});

test('a body that is wrong all over gets a short answer', async (t) => {
  const { app } = await setup(t);
  const payload = { currency: 'EUR', lines: Array(8000).fill(0) };
  const response = await app.inject({ ...post, payload });
  assert.equal(response.statusCode, 400);
  assert.equal(response.json().violations.length, 20);
});

for (const [flaw, payload] of Object.entries({
  'a number as text': { currency: 'EUR', lines: [{ ...line, quantity: '2' }] },
  'a price of null': { currency: 'EUR', lines: [{ ...line, unit_price: null }] },
  'half a piece': { currency: 'EUR', lines: [{ ...line, quantity: 0.5 }] },
  'a negative price': { currency: 'EUR', lines: [{ ...line, unit_price: -1 }] },
  'a property that is unknown': { currency: 'EUR', lines: [line], discount: 100 },
  'no line': { currency: 'EUR', lines: [] },
  'too many lines': { currency: 'EUR', lines: Array(101).fill(line) },
})) {
  test(`${flaw} is refused`, async (t) => {
    const { app } = await setup(t);
    assert.equal((await app.inject({ ...post, payload })).statusCode, 400);
  });
}
