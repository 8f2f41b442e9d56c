// Fastify as its guide starts it: the same route with a schema, no logs, no metrics, no limits.
import { fastify } from 'fastify';

const app = fastify();
app.get(
  '/v1/greetings/:name',
  {
    schema: {
      params: { type: 'object', properties: { name: { type: 'string' } } },
      response: { 200: { type: 'object', properties: { message: { type: 'string' } } } },
    },
  },
  async (request) => ({ message: `Hello, ${request.params.name}!` }),
);
await app.listen({ port: 0, host: '127.0.0.1' });
console.log(
  JSON.stringify({ msg: 'listening', listener: 'http', port: app.server.address().port }),
);
