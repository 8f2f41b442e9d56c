import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TEST_ENV, until } from './helpers.ts';

const SERVER = fileURLToPath(new URL('../src/server.ts', import.meta.url));

function start(t: TestContext, env: NodeJS.ProcessEnv): ChildProcessWithoutNullStreams {
  const { NODE_V8_COVERAGE, PATH } = process.env;
  const child = spawn(process.execPath, [SERVER], { env: { NODE_V8_COVERAGE, PATH, ...env } });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Starts the service and waits until both ports listen. */
async function ready(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const child = start(t, { ...TEST_ENV, ...env });
  const lines: Record<string, unknown>[] = [];
  const ports: Record<string, number> = {};
  const reader = createInterface(child.stdout);
  const up = new Promise<void>((resolve) => {
    reader.on('line', (line) => {
      const entry = JSON.parse(line);
      lines.push(entry);
      if (entry.msg === 'listening') ports[entry.listener] = entry.port;
      if (entry.listener === 'http') resolve();
    });
  });
  const ended = Promise.all([once(child, 'close'), once(reader, 'close')]);
  await up;
  const exit = async () => (await ended)[0];
  return {
    child,
    lines,
    ports,
    exit,
    url: (path: string) => `http://127.0.0.1:${ports.http}${path}`,
  };
}

test('a bad environment stops the start and lists every problem, one a line', async (t) => {
  const child = start(t, { HTTP_PORT: 'http', FAULTS_ENABLED: 'yes' });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.deepEqual(stderr.trimEnd().split('\n'), [
    'Invalid configuration:',
    '  ENVIRONMENT is missing: it must be one of local, dev, staging, production',
    '  HTTP_PORT is "http": it must be a whole number from 0 to 65535',
    '  FAULTS_ENABLED is "yes": it must be true or false',
  ]);
});

test('a port that is taken stops the start with a log line', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const port = String((taken.address() as AddressInfo).port);
  const child = start(t, { ...TEST_ENV, HTTP_PORT: port });
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert.equal(code, 1);
  assert.match(stdout, /"level":"fatal".*EADDRINUSE/);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the service with 0 and no log line is lost`, async (t) => {
    const { child, lines, ports, exit, url } = await ready(t);
    assert.notEqual(ports.http, ports.metrics);
    assert.equal((await fetch(url('/v1/greetings/Ana'))).status, 200);
    assert.equal((await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).status, 200);
    child.kill(signal);
    assert.deepEqual(await exit(), [0, null]);
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ['listening', 'listening', 'request', 'draining', 'closing', 'closed'],
    );
  });
}

test('a second signal ends the service at once with 1', async (t) => {
  const { child, lines, exit } = await ready(t, { SHUTDOWN_DRAIN_MS: '60000' });
  child.kill('SIGTERM');
  await until(() => lines.some(({ msg }) => msg === 'draining'));
  child.kill('SIGTERM');
  assert.deepEqual(await exit(), [1, null]);
  assert.equal(lines.at(-1)?.msg, 'second signal, exiting at once');
});

test('the exit fault answers 202, logs the request and ends the service with 1', async (t) => {
  const { lines, exit, url } = await ready(t);
  assert.equal((await fetch(url('/faults/exit'), { method: 'POST' })).status, 202);
  assert.deepEqual(await exit(), [1, null]);
  assert.equal(lines.at(-1)?.status_code, 202);
});
