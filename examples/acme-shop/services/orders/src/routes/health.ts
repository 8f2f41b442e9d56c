import { Type } from 'typebox';
import type { App } from '../app.ts';

const config = { probe: true };
const Status = Type.Object({ status: Type.String() });

/**
 * `/livez` says that the event loop turns. `/readyz` says that new requests are welcome, and turns
 * to 503 when the shutdown begins. Neither asks other systems: their failure is no reason to
 * restart this process, and would take all replicas out at once.
 */
export function health(app: App, lifecycle: { draining: boolean }): void {
  app.get(
    '/livez',
    {
      config,
      schema: { summary: 'Is the process alive?', tags: ['probes'], response: { 200: Status } },
    },
    async () => ({ status: 'ok' }),
  );

  app.get(
    '/readyz',
    {
      config,
      schema: {
        summary: 'May traffic be sent here?',
        tags: ['probes'],
        response: { 200: Status, 503: Status },
      },
    },
    async (_request, reply) => {
      if (!lifecycle.draining) return { status: 'ok' };
      return reply.code(503).send({ status: 'draining' });
    },
  );
}
