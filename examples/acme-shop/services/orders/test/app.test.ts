import assert from 'node:assert/strict';
import { Agent, METHODS, request } from 'node:http';
import { test } from 'node:test';
import { listen, raw, samples, setup, until } from './helpers.ts';

const PROBLEM = /^application\/problem\+json/;
const JSON_TYPE = { 'content-type': 'application/json' };

test('an unknown route is a 404 problem that repeats nothing of the request', async (t) => {
  const { app } = await setup(t);
  const response = await app.inject('/nowhere/<script>?a=b');
  assert.match(String(response.headers['content-type']), PROBLEM);
  assert.deepEqual(response.json(), {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'No such route.',
  });
});

for (const [flaw, status, options] of [
  ['a method that the path does not have', 404, { method: 'DELETE' }],
  ['a body that is too large', 413, { payload: { currency: 'E'.repeat(20_000) } }],
  ['a body of another type', 415, { payload: 'a', headers: { 'content-type': 'text/csv' } }],
  ['a body that is broken JSON', 400, { payload: '{', headers: JSON_TYPE }],
  ['a body that is empty', 400, { payload: '', headers: JSON_TYPE }],
  ['a body with a prototype', 400, { payload: '{"__proto__":{}}', headers: JSON_TYPE }],
  ['a malformed escape in the URL', 400, { method: 'GET', url: '/v1/%zz' }],
  ['a path part that is too long', 414, { url: `/v1/greetings/${'a'.repeat(300)}`, method: 'GET' }],
] as const) {
  test(`${flaw} is a ${status} problem`, async (t) => {
    const { app } = await setup(t);
    const response = await app.inject({ method: 'POST', url: '/v1/quotes', ...options });
    assert.equal(response.statusCode, status);
    assert.match(String(response.headers['content-type']), PROBLEM);
    assert.equal(response.json().status, status);
    assert.doesNotMatch(response.body, /aaaa|EEEE|%zz/);
    assert.ok(response.headers['x-request-id']);
  });
}

test('an error that nobody meant is logged, and answered without its text', async (t) => {
  const { metricsApp, metrics, lines } = await setup(t);
  metrics.registry.metrics = () => Promise.reject(new Error('internal detail'));
  const response = await metricsApp.inject('/metrics');
  assert.equal(response.statusCode, 500);
  assert.match(String(response.headers['content-type']), PROBLEM);
  assert.doesNotMatch(response.body, /internal detail/);
  assert.match(JSON.stringify(lines), /internal detail/);
});

test('the metrics port answers /metrics with the content type of the registry', async (t) => {
  const { metricsApp, metrics } = await setup(t);
  const response = await metricsApp.inject('/metrics');
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers['content-type'], metrics.registry.contentType);
  assert.match(response.body, /^# TYPE http_requests_total counter$/m);
});

test('the metrics port has nothing else, and the API port has no metrics', async (t) => {
  const { app, metricsApp } = await setup(t);
  for (const url of ['/', '/livez', '/v1/greetings/Ana', '/%zz']) {
    const response = await metricsApp.inject(url);
    assert.ok([404, 400].includes(response.statusCode), url);
    assert.match(String(response.headers['content-type']), PROBLEM);
  }
  assert.equal((await app.inject('/metrics')).statusCode, 404);
});

test('responses do not tell the framework', async (t) => {
  const { app } = await setup(t);
  const { headers } = await app.inject('/v1/greetings/Ana');
  assert.equal(headers['x-powered-by'], undefined);
  assert.equal(headers.server, undefined);
});

test('a safe request id is kept and returned', async (t) => {
  const { app } = await setup(t);
  const id = 'Root-1.67_891233';
  const response = await app.inject({ url: '/livez', headers: { 'x-request-id': id } });
  assert.equal(response.headers['x-request-id'], id);
});

for (const id of [
  'short',
  'a'.repeat(65),
  'with space',
  'quote"quote',
  'semi;colon',
  'ünïcödé-id',
]) {
  test(`the request id ${JSON.stringify(id.slice(0, 12))} is replaced`, async (t) => {
    const { app } = await setup(t);
    const response = await app.inject({ url: '/livez', headers: { 'x-request-id': id } });
    assert.match(String(response.headers['x-request-id']), /^[\w-]{8,64}$/);
    assert.notEqual(response.headers['x-request-id'], id);
  });
}

test('bytes that are not HTTP get a short 400 problem', async (t) => {
  const { app, lines } = await setup(t);
  const answer = await raw(await listen(app), 'BREW /pot HTTP/1.1\r\n\r\n');
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(answer, /\r\ncontent-type: application\/problem\+json\r\n/);
  assert.match(answer, /\r\nconnection: close\r\n/);
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.equal(Number(/content-length: (\d+)/.exec(head)?.[1]), body.length);
  assert.equal(JSON.parse(body).status, 400);
  assert.equal(lines.at(-1)?.code, 'HPE_INVALID_METHOD');
});

test('headers that are too large get a 431 problem', async (t) => {
  const { app } = await setup(t);
  const answer = await raw(
    await listen(app),
    `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
  );
  assert.match(answer, /^HTTP\/1\.1 431 /);
  assert.equal(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').status, 431);
});

test('a request that arrives too slowly gets a 408 problem', async (t) => {
  const { app } = await setup(t, { REQUEST_TIMEOUT_MS: '100' });
  const answer = await raw(
    await listen(app),
    'POST /v1/quotes HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\ncontent-type: application/json\r\n\r\n{',
  );
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('a client that resets its connection does no harm', async (t) => {
  const { app } = await setup(t);
  const port = await listen(app);
  const half = request({
    port,
    method: 'POST',
    path: '/v1/quotes',
    headers: { 'content-length': 9 },
  });
  half.on('error', () => {});
  half.write('{');
  await until(() => app.server.listening);
  half.destroy();
  assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200);
});

test('10,000 URLs and 100 odd methods add no series', async (t) => {
  const { app, metrics, lines } = await setup(t);
  const port = await listen(app);
  const series = async () =>
    [...(await samples(metrics)).keys()].filter((key) => key.startsWith('http_'));
  const before = await series();
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  t.after(() => agent.destroy());
  const send = (method: string, path: string) =>
    new Promise((resolve, reject) => {
      const outgoing = request({ port, method, path, agent }, (incoming) => {
        incoming.resume().on('end', () => resolve(incoming.statusCode));
      });
      outgoing.on('error', reject).end();
    });

  const odd = METHODS.filter(
    (method) =>
      !['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'QUERY'].includes(
        method,
      ),
  );
  assert.ok(odd.includes('M-SEARCH'));
  await Promise.all(
    Array.from({ length: 100 }, (_, i) => send(odd[i % odd.length] ?? '', `/odd/${i}`)),
  );
  for (let i = 0; i < 10_000; i += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, j) => send('GET', `/none/${i + j}?q=${j}`)));
  }
  for (let i = 0; i < 5; i += 1) await raw(port, `INVENTED${i} / HTTP/1.1\r\nhost: a\r\n\r\n`);

  const after = await samples(metrics);
  const count = (method: string) =>
    after.get(`http_requests_total{method="${method}",route="unmatched",status_code="404"}`);
  assert.equal(count('GET'), 10_000);
  assert.equal(count('_OTHER'), 100);
  assert.deepEqual(await series(), before);
  assert.doesNotMatch(JSON.stringify(lines), /\/none\/|\/odd\//);
});
