import { performance } from 'node:perf_hooks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { traceFields } from './logging.ts';
import { CLIENT_CLOSED_REQUEST, type Metrics, UNMATCHED_ROUTE } from './metrics.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `true` keeps a route out of the metrics, and its log lines at level debug. */
    probe?: boolean;
  }
}

/**
 * Returns a function that measures and logs one request when its response is over. It waits for
 * `close`, not for Fastify's `onResponse`: that never comes when the client goes away first, and
 * the request would be missing from the counts and stay in flight for ever.
 */
export function createTracker(logger: Logger, metrics: Metrics) {
  return (request: FastifyRequest, reply: FastifyReply): void => {
    const start = performance.now();
    const { config, url: route = UNMATCHED_ROUTE } = request.routeOptions;
    const probe = config.probe === true;
    if (!probe) metrics.inFlight += 1;
    const log = logger.child({
      request_id: request.id,
      ...traceFields(request.headers.traceparent),
    });
    request.log = log;
    reply.log = log;

    reply.raw.on('close', () => {
      const seconds = (performance.now() - start) / 1000;
      const { method } = request;
      const statusCode = reply.raw.writableEnded ? reply.statusCode : CLIENT_CLOSED_REQUEST;
      if (!probe) {
        metrics.inFlight -= 1;
        metrics.observe(method, route, statusCode, seconds);
      }
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
