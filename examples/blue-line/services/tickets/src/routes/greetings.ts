import { Type } from 'typebox';
import type { App } from '../app.ts';
import { problemResponses } from '../problem.ts';

const HELLO = { de: 'Hallo', en: 'Hello', es: 'Hola', fr: 'Bonjour' };

/** Example of a read: validated path and query. */
export function greetings(app: App): void {
  app.get(
    '/v1/greetings/:name',
    {
      schema: {
        summary: 'Greet somebody',
        tags: ['greetings'],
        params: Type.Object({
          name: Type.String({ maxLength: 64, pattern: "^[\\p{L}\\p{M} .'-]+$" }),
        }),
        querystring: Type.Object(
          { language: Type.Optional(Type.Enum(['de', 'en', 'es', 'fr'], { default: 'en' })) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ message: Type.String() }), ...problemResponses },
      },
    },
    async (request) => {
      const { language = 'en' } = request.query;
      return { message: `${HELLO[language]}, ${request.params.name}!` };
    },
  );
}
