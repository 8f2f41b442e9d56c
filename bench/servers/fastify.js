// Fastify as its guide starts it, with the generated service's route: the same schemas, but no logs,
// no metrics, no limits.
import { fastify } from 'fastify';

const app = fastify();
const languages = { de: 'Hallo', en: 'Hello', es: 'Hola', fr: 'Bonjour' };
app.get(
  '/v1/greetings/:name',
  {
    schema: {
      params: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string', maxLength: 64, pattern: "^[\\p{L}\\p{M} .'-]+$" },
        },
      },
      querystring: {
        type: 'object',
        additionalProperties: false,
        properties: { language: { enum: Object.keys(languages), default: 'en' } },
      },
      response: {
        200: {
          type: 'object',
          required: ['message'],
          properties: { message: { type: 'string' } },
        },
      },
    },
  },
  async (request) => ({ message: `${languages[request.query.language]}, ${request.params.name}!` }),
);
await app.listen({ port: 0, host: '127.0.0.1' });
console.log(
  JSON.stringify({ msg: 'listening', listener: 'http', port: app.server.address().port }),
);
