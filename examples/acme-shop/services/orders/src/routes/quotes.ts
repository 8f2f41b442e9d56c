import { Type } from 'typebox';
import type { App } from '../app.ts';
import { problemResponses } from '../problem.ts';

const strict = { additionalProperties: false };

// The limits keep every total below Number.MAX_SAFE_INTEGER.
const line = {
  sku: Type.String({ pattern: '^[A-Z0-9-]{1,32}$' }),
  quantity: Type.Integer({ minimum: 1, maximum: 1000 }),
  unit_price: Type.Integer({
    minimum: 0,
    maximum: 1_000_000_000,
    description: 'In minor units of the currency, such as cents.',
  }),
};
const currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code.' });

/** Example of a write: validated body. Nothing is stored, so that any replica can answer. */
export function quotes(app: App): void {
  app.post(
    '/v1/quotes',
    {
      schema: {
        summary: 'Price a list of items',
        tags: ['quotes'],
        body: Type.Object(
          {
            currency,
            lines: Type.Array(Type.Object(line, strict), { minItems: 1, maxItems: 100 }),
          },
          strict,
        ),
        response: {
          200: Type.Object({
            currency,
            lines: Type.Array(Type.Object({ ...line, amount: Type.Integer() })),
            total: Type.Integer({ description: 'In minor units of the currency.' }),
          }),
          ...problemResponses,
        },
      },
    },
    async (request) => {
      const lines = request.body.lines.map((item) => ({
        ...item,
        amount: item.quantity * item.unit_price,
      }));
      const total = lines.reduce((sum, { amount }) => sum + amount, 0);
      return { currency: request.body.currency, lines, total };
    },
  );
}
