import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { buildApp, buildMetricsApp } from './app.ts';
import { ConfigError, loadConfig } from './config.ts';
import { createLogger, standardOutput } from './logging.ts';
import { Metrics } from './metrics.ts';
import { createShutdown } from './shutdown.ts';

const config = readConfig();
const logger = createLogger(config.LOG_LEVEL, standardOutput());
const exit = (code: number) => process.exit(code);

// After an unknown error the state is unknown too: say why, and let Kubernetes start afresh.
process.on('uncaughtException', (error) => {
  logger.fatal({ err: error }, 'uncaught error');
  exit(1);
});

const metrics = new Metrics(config.SERVICE_VERSION, config.SERVICE_REVISION);
const lifecycle = { draining: false };
const dependencies = { config, logger, metrics, lifecycle, exit };
const app = await buildApp(dependencies);
const metricsApp = await buildMetricsApp(dependencies);

const shutdown = createShutdown({ ...dependencies, app, metricsApp });
process.on('SIGTERM', shutdown).on('SIGINT', shutdown);

await listen('metrics', metricsApp, config.METRICS_PORT);
await listen('http', app, config.HTTP_PORT);

function readConfig() {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    return process.exit(1);
  }
}

// Not Fastify's own listen(): that logs a line for each network interface.
async function listen(listener: string, { server }: FastifyInstance, port: number) {
  server.listen({ host: config.HOST, port });
  await once(server, 'listening');
  logger.info({ listener, port: (server.address() as AddressInfo).port }, 'listening');
}
