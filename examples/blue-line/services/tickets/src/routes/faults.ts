import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from 'typebox';
import type { App } from '../app.ts';
import { HttpError, problemResponses } from '../problem.ts';

const tags = ['faults'];

const MEBIBYTE = 1024 * 1024;
const MAX_MEMORY_MIB = 1024;

/**
 * Failures on demand, to try alerts, dashboards and rollbacks. Registered only when
 * `FAULTS_ENABLED` is true, which the configuration refuses in production.
 */
export function faults(app: App, exit: (code: number) => void): void {
  app.get(
    '/faults/delay/:ms',
    {
      schema: {
        summary: 'Answer late',
        tags,
        params: Type.Object({ ms: Type.Integer({ minimum: 0, maximum: 60_000 }) }),
        response: { 200: Type.Object({ delayed_ms: Type.Integer() }), ...problemResponses },
      },
    },
    async (request) => {
      // Not a reason to stay alive when the client is gone.
      await sleep(request.params.ms, undefined, { ref: false });
      return { delayed_ms: request.params.ms };
    },
  );

  app.get(
    '/faults/status/:code',
    {
      schema: {
        summary: 'Answer with a status code',
        tags,
        params: Type.Object({ code: Type.Integer({ minimum: 200, maximum: 599 }) }),
        response: { 200: Type.Null(), ...problemResponses },
      },
    },
    async (request, reply) => {
      const { code } = request.params;
      if (code >= 400) throw new HttpError(code);
      return reply.code(code).send();
    },
  );

  app.post(
    '/faults/block/:ms',
    {
      schema: {
        summary: 'Keep the event loop busy, so that nothing else is answered',
        tags,
        params: Type.Object({ ms: Type.Integer({ minimum: 0, maximum: 10_000 }) }),
        response: { 200: Type.Object({ blocked_ms: Type.Integer() }), ...problemResponses },
      },
    },
    async (request) => {
      const { ms } = request.params;
      const end = performance.now() + ms;
      while (performance.now() < end);
      return { blocked_ms: ms };
    },
  );

  // Of a size that changes: what is given up goes back at once, not when garbage is collected.
  const memory = new ArrayBuffer(0, { maxByteLength: MAX_MEMORY_MIB * MEBIBYTE });
  app.post(
    '/faults/memory/:mib',
    {
      schema: {
        summary: 'Hold this much memory, instead of what an earlier request asked for',
        tags,
        params: Type.Object({ mib: Type.Integer({ minimum: 0, maximum: MAX_MEMORY_MIB }) }),
        response: { 200: Type.Object({ held_mib: Type.Integer() }), ...problemResponses },
      },
    },
    async (request) => {
      const { mib } = request.params;
      memory.resize(mib * MEBIBYTE);
      // The kernel gives a page only to who writes to it.
      new Uint8Array(memory).fill(1);
      return { held_mib: mib };
    },
  );

  app.post(
    '/faults/exit',
    {
      schema: {
        summary: 'Crash with exit code 1',
        tags,
        response: { 202: Type.Object({ exit_code: Type.Integer() }), ...problemResponses },
      },
    },
    async (_request, reply) => {
      reply.raw.on('close', () => exit(1));
      return reply.code(202).send({ exit_code: 1 });
    },
  );
}
