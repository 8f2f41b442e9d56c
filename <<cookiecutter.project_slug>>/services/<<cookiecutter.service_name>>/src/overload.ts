import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';
import { HttpError } from './problem.ts';

const SAMPLE_MS = 1000;
const RETRY_AFTER_SECONDS = '2';

/**
 * Answers 503 at once while there is more work than this process can do. Two signs, because
 * either alone is blind: slow dependencies pile up requests, busy handlers delay the event loop.
 * Covers the routes of `app` only; probes stay outside, or overload would restart every replica.
 */
export function shedLoad(app: FastifyInstance, config: Config, metrics: Metrics): void {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  let delayMs = 0;
  histogram.enable();
  const timer = setInterval(() => {
    // NaN, when no sample was taken, compares as false.
    delayMs = histogram.mean / 1e6;
    histogram.reset();
  }, SAMPLE_MS).unref();
  app.addHook('onClose', async () => {
    clearInterval(timer);
    histogram.disable();
  });

  app.addHook('onRequest', (_request, reply, done) => {
    if (metrics.inFlight > config.MAX_IN_FLIGHT || delayMs > config.MAX_EVENT_LOOP_DELAY_MS) {
      reply.header('retry-after', RETRY_AFTER_SECONDS);
      done(new HttpError(503));
    } else {
      done();
    }
  });
}
