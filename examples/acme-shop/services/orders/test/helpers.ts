import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { type App, buildApp, buildMetricsApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger } from '../src/logging.ts';
import { Metrics } from '../src/metrics.ts';

/** Environment of most tests: nothing is refused, nothing waits. */
export const TEST_ENV = {
  ENVIRONMENT: 'local',
  HOST: '127.0.0.1',
  HTTP_PORT: '0',
  METRICS_PORT: '0',
  LOG_LEVEL: 'debug',
  LOG_REQUESTS: 'all',
  FAULTS_ENABLED: 'true',
  SHUTDOWN_DRAIN_MS: '0',
};

/**
 * Builds both applications in this process, with the given routes instead of the API's own. They
 * close themselves when the test ends.
 */
export async function setup(
  t: TestContext,
  env: NodeJS.ProcessEnv = {},
  ...routes: ((api: App) => void)[]
) {
  const config = loadConfig({ ...TEST_ENV, ...env });
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger(config.LOG_LEVEL, {
    write: (line) => void lines.push(JSON.parse(line)),
  });
  const metrics = new Metrics('1.2.3', 'abcdef0');
  const lifecycle = { draining: false };
  const exits: number[] = [];
  const exit = (code: number) => void exits.push(code);
  const dependencies = { config, logger, metrics, lifecycle, exit };
  const app = await buildApp(dependencies, routes.length ? routes : undefined);
  const metricsApp = await buildMetricsApp(dependencies);
  t.after(() => {
    app.server.closeAllConnections();
    return Promise.all([app.close(), metricsApp.close()]);
  });
  return { ...dependencies, app, metricsApp, lines, exits };
}

/** Makes an application listen on a free port, which it returns. */
export async function listen({ server }: FastifyInstance): Promise<number> {
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Sends bytes as they are and returns all that comes back until the server closes. */
export async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return text(socket);
}

/** The samples of the exposition text: name with labels -> value. */
export async function samples(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.registry.metrics()).split('\n');
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const end = line.lastIndexOf(' ');
        return [line.slice(0, end), Number(line.slice(end + 1))];
      }),
  );
}

/** Waits until `condition` holds; fails after 5 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 5000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
