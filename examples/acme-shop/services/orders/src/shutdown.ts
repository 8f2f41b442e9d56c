import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import type { Metrics } from './metrics.ts';

interface Options {
  config: Pick<Config, 'SHUTDOWN_DRAIN_MS' | 'SHUTDOWN_TIMEOUT_MS'>;
  logger: FastifyBaseLogger;
  metrics: Metrics;
  lifecycle: { draining: boolean };
  app: FastifyInstance;
  metricsApp: FastifyInstance;
  exit: (code: number) => void;
}

/**
 * Returns a signal handler that ends the process without losing a request:
 *
 * 1. `/readyz` turns to 503 and responses say `connection: close`, while everything is still
 *    served. Kubernetes needs this time to take the pod out of every load balancer.
 * 2. The API port and its idle connections close; requests in flight finish.
 * 3. The metrics port closes and the process exits with 0.
 *
 * It exits with 1 when step 2 takes longer than `SHUTDOWN_TIMEOUT_MS` or a second signal comes.
 */
export function createShutdown({
  config,
  logger,
  metrics,
  lifecycle,
  app,
  metricsApp,
  exit,
}: Options): (signal: string) => Promise<void> {
  return async (signal) => {
    if (lifecycle.draining) {
      logger.warn({ signal }, 'second signal, exiting at once');
      return exit(1);
    }
    lifecycle.draining = true;
    logger.info({ signal, drain_ms: config.SHUTDOWN_DRAIN_MS }, 'draining');
    await sleep(config.SHUTDOWN_DRAIN_MS);

    setTimeout(() => {
      logger.error({ in_flight: metrics.inFlight }, 'shutdown timed out');
      exit(1);
    }, config.SHUTDOWN_TIMEOUT_MS).unref();
    logger.info({ in_flight: metrics.inFlight }, 'closing');
    const closed = app.close();
    await Promise.race([closed, finished(metrics)]);
    // What is left never sent a request, and would keep the server open until its time-out.
    app.server.closeAllConnections();
    await closed;
    await metricsApp.close();
    logger.info('closed');
    exit(0);
  };
}

async function finished(metrics: Metrics): Promise<void> {
  do await sleep(100);
  while (metrics.inFlight > 0);
}
