import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';

const SAMPLE_MS = 1000;

/** When a client that was sent away may come back. */
export const RETRY_AFTER_SECONDS = '2';

/**
 * Returns a function that says whether there is more work than this process can do. Two signs,
 * because either alone is blind: slow dependencies pile up requests, busy handlers delay the event
 * loop. Measures until `app` closes. Not for probes: overload would restart every replica.
 */
export function overloadDetector(
  app: FastifyInstance,
  config: Config,
  metrics: Metrics,
): () => boolean {
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
  return () => metrics.inFlight > config.MAX_IN_FLIGHT || delayMs > config.MAX_EVENT_LOOP_DELAY_MS;
}
