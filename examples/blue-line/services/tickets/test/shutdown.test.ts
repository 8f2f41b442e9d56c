import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createShutdown } from '../src/shutdown.ts';
import { listen, setup, until } from './helpers.ts';

async function running(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const context = await setup(t, env);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const port = await listen(context.app);
  const metricsPort = await listen(context.metricsApp);
  const call = async (path: string, on = port): Promise<IncomingMessage> => {
    const [response] = await once(get({ port: on, path, agent }), 'response');
    response.resume();
    await once(response, 'end');
    return response;
  };
  return { ...context, port, metricsPort, call, shutdown: createShutdown(context) };
}

test('a service with nothing to do exits with 0', async (t) => {
  const { shutdown, exits, lines, app } = await running(t);
  await shutdown('SIGTERM');
  assert.deepEqual(exits, [0]);
  assert.equal(app.server.listening, false);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['draining', 'closing', 'closed'],
  );
});

test('during the drain everything is served, readiness is off and connections end', async (t) => {
  const { shutdown, call, exits, metricsPort } = await running(t, { SHUTDOWN_DRAIN_MS: '300' });
  assert.equal((await call('/v1/greetings/Ana')).headers.connection, 'keep-alive');
  const done = shutdown('SIGTERM');
  const response = await call('/v1/greetings/Ana');
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers.connection, 'close');
  assert.equal((await call('/readyz')).statusCode, 503);
  assert.equal((await call('/livez')).statusCode, 200);
  assert.equal((await call('/metrics', metricsPort)).statusCode, 200);
  await done;
  assert.deepEqual(exits, [0]);
});

test('a request in flight is finished, and its connection is told to end', async (t) => {
  const { shutdown, call, exits, metrics, metricsPort } = await running(t);
  const slow = call('/faults/delay/300');
  await until(() => metrics.inFlight === 1);
  const done = shutdown('SIGTERM');
  assert.equal((await call('/metrics', metricsPort)).statusCode, 200);
  const response = await slow;
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers.connection, 'close');
  await done;
  assert.deepEqual(exits, [0]);
});

test('connections that never sent a request do not hold the shutdown up', async (t) => {
  const { shutdown, port, exits } = await running(t);
  const silent = connect(port, '127.0.0.1');
  await once(silent, 'connect');
  const closed = once(
    silent.resume().on('error', () => {}),
    'close',
  );
  await shutdown('SIGTERM');
  await closed;
  assert.deepEqual(exits, [0]);
});

test('a request that does not end in time makes the exit code 1', async (t) => {
  const { shutdown, port, exits, lines, metrics, app } = await running(t, {
    SHUTDOWN_TIMEOUT_MS: '50',
  });
  get({ port, path: '/faults/delay/60000' }).on('error', () => {});
  await until(() => metrics.inFlight === 1);
  const done = shutdown('SIGTERM');
  await until(() => exits.length > 0);
  assert.deepEqual(exits, [1]);
  const { level, msg, in_flight } = lines.at(-1) ?? {};
  assert.deepEqual([level, msg, in_flight], ['error', 'shutdown timed out', 1]);
  app.server.closeAllConnections();
  await done;
});

test('a second signal exits at once with 1', async (t) => {
  const { shutdown, exits } = await running(t, { SHUTDOWN_DRAIN_MS: '200' });
  const done = shutdown('SIGTERM');
  await shutdown('SIGINT');
  assert.deepEqual(exits, [1]);
  await done;
});
