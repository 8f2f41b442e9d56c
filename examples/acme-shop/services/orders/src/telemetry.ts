import { performance } from 'node:perf_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { isSampled, requestLog } from './logging.ts';
import { CLIENT_CLOSED_REQUEST, type Metrics, SLO_LATENCY_SECONDS } from './metrics.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `true` keeps a route out of the metrics, and its log lines at level debug. */
    probe?: boolean;
  }
}

/**
 * Returns a function that measures and logs one request when its response is over. It waits for
 * `close`, not for Fastify's `onResponse`: that never comes when the client goes away first, and
 * the request would be missing from the counts and stay in flight for ever. `route` is a pattern,
 * never a URL.
 */
export function createTracker(logger: Logger, metrics: Metrics, config: Config) {
  const logAll = config.LOG_REQUESTS === 'all';
  return (request: FastifyRequest, reply: FastifyReply, route: string, probe: boolean): void => {
    const start = performance.now();
    metrics.inFlight += 1;
    const { traceparent } = request.headers;
    const log = requestLog(logger, request);
    request.log = log;
    reply.log = log;

    reply.raw.on('close', () => {
      const seconds = (performance.now() - start) / 1000;
      const { method } = request;
      const statusCode = reply.raw.writableEnded ? reply.statusCode : CLIENT_CLOSED_REQUEST;
      metrics.inFlight -= 1;
      if (!probe) metrics.observe(method, route, statusCode, seconds);
      const notable = statusCode >= 400 || seconds > SLO_LATENCY_SECONDS || isSampled(traceparent);
      if (!notable && !logAll) return;
      const level = statusCode >= 500 ? 'error' : 'info';
      log[probe ? 'debug' : level](
        {
          // No URL, header or body: they hold personal data and secrets.
          method,
          route,
          status_code: statusCode,
          duration_ms: Math.round(seconds * 1e5) / 100,
        },
        'request',
      );
    });
  };
}
