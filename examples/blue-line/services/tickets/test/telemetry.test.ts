import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { SLO_LATENCY_SECONDS } from '../src/metrics.ts';
import { listen, samples, setup, until } from './helpers.ts';

const GREETING = 'method="GET",route="/v1/greetings/:name"';

test('one line tells about a request, without URL, query, headers or body', async (t) => {
  const { app, lines } = await setup(t);
  await app.inject({
    url: '/v1/greetings/Ana?language=de',
    headers: {
      authorization: 'Bearer leak',
      'x-request-id': 'abc-12345',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    },
  });
  assert.equal(lines.length, 1);
  const { time, duration_ms, ...line } = lines[0] ?? {};
  assert.deepEqual(line, {
    level: 'info',
    request_id: 'abc-12345',
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: 'b7ad6b7169203331',
    method: 'GET',
    route: '/v1/greetings/:name',
    status_code: 200,
    msg: 'request',
  });
  assert.ok(Number(duration_ms) >= 0 && Number(duration_ms) < 5000);
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 5000);
});

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';

for (const { about, url, traceparent, logged } of [
  { about: 'a quick success', url: '/v1/greetings/Ana', logged: 0 },
  { about: 'a trace that is not kept', url: '/v1/greetings/Ana', traceparent: '-00', logged: 0 },
  { about: 'a trace that is kept', url: '/v1/greetings/Ana', traceparent: '-01', logged: 1 },
  { about: "a client's error", url: '/v1/greetings/1', logged: 1 },
  { about: 'an unknown URL', url: '/nowhere', logged: 1 },
  { about: 'an error of ours', url: '/faults/status/503', logged: 1 },
  {
    about: 'an answer slower than the objective',
    url: `/faults/delay/${Math.ceil(SLO_LATENCY_SECONDS * 1000) + 50}`,
    logged: 1,
  },
  { about: 'a probe', url: '/livez', logged: 0 },
]) {
  test(`LOG_REQUESTS=notable logs ${about} ${logged ? 'once' : 'not at all'}`, async (t) => {
    const { app, lines } = await setup(t, { LOG_REQUESTS: 'notable' });
    await app.inject({ url, headers: traceparent ? { traceparent: TRACE + traceparent } : {} });
    assert.equal(lines.filter(({ msg }) => msg === 'request').length, logged);
  });
}

test('an error tells the id by which it stands in the log', async (t) => {
  const { app, lines } = await setup(t, { LOG_REQUESTS: 'notable' });
  const { headers } = await app.inject('/nowhere');
  assert.match(String(headers['x-request-id']), /^[\w.-]{8,64}$/);
  assert.equal(lines[0]?.request_id, headers['x-request-id']);
});

test('a request that a later hook refuses is measured and logged with its route', async (t) => {
  const { app, lines, metrics } = await setup(t, {}, (api) => {
    api.addHook('onRequest', async (_request, reply) => reply.code(401).send());
    api.get('/private/:id', async () => 'never');
  });
  assert.equal((await app.inject('/private/7')).statusCode, 401);
  const labels = 'method="GET",route="/private/:id",status_code="401"';
  assert.equal((await samples(metrics)).get(`http_requests_total{${labels}}`), 1);
  assert.deepEqual(
    lines.map(({ route, status_code }) => [route, status_code]),
    [['/private/:id', 401]],
  );
});

test("a route's own onRequest hooks run, in their order", async (t) => {
  const calls: string[] = [];
  const { app } = await setup(t, {}, (api) => {
    const onRequest = [async () => void calls.push('first'), async () => void calls.push('second')];
    api.get('/hooked', { onRequest }, async () => 'ok');
  });
  await app.inject('/hooked');
  assert.deepEqual(calls, ['first', 'second']);
  await app.inject({ method: 'HEAD', url: '/hooked' });
  assert.deepEqual(calls, ['first', 'second', 'first', 'second']);
});

test('requests without a traceparent have no trace id', async (t) => {
  const { app, lines } = await setup(t);
  await app.inject('/v1/greetings/Ana');
  assert.equal('trace_id' in (lines[0] ?? {}), false);
});

test('a server error is logged at level error', async (t) => {
  const { app, lines } = await setup(t);
  await app.inject('/faults/status/500');
  assert.deepEqual(
    lines.map(({ level, status_code }) => [level, status_code]),
    [['error', 500]],
  );
});

test('what a handler logs carries the id of its request', async (t) => {
  const { app, lines } = await setup(t);
  app.swagger = () => {
    throw new Error('internal detail');
  };
  const headers = { 'x-request-id': 'abc-12345' };
  const response = await app.inject({ url: '/openapi.json', headers });
  assert.equal(response.statusCode, 500);
  assert.doesNotMatch(response.body, /internal detail/);
  assert.deepEqual(
    lines.map(({ msg, request_id }) => [msg, request_id]),
    [
      ['unexpected error', 'abc-12345'],
      ['request', 'abc-12345'],
    ],
  );
  assert.match(JSON.stringify(lines[0]), /internal detail/);
});

test('probes are logged at level debug and not measured', async (t) => {
  const { app, lines, metrics } = await setup(t);
  const before = (await samples(metrics)).get('http_requests_in_flight');
  await app.inject('/livez');
  await app.inject('/readyz');
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['debug', 'debug'],
  );
  const after = await samples(metrics);
  assert.equal(after.get('http_requests_in_flight'), before);
  assert.deepEqual(
    [...after.keys()].filter((key) => key.includes('/livez') || key.includes('/readyz')),
    [],
  );
});

test('every route has series for its success and for server errors from the start', async (t) => {
  const { metrics } = await setup(t);
  const start = await samples(metrics);
  for (const [method, route, success] of [
    ['GET', '/v1/greetings/:name', 200],
    ['POST', '/v1/quotes', 200],
    ['GET', '/openapi.json', 200],
    ['POST', '/faults/exit', 202],
  ]) {
    for (const code of [success, 500, 503]) {
      const labels = `method="${method}",route="${route}",status_code="${code}"`;
      assert.equal(start.get(`http_requests_total{${labels}}`), 0, labels);
    }
  }
});

test('a refused URL is measured and logged as unmatched', async (t) => {
  const { app, metrics, lines } = await setup(t);
  await app.inject('/%zz');
  const labels = 'method="GET",route="unmatched",status_code="400"';
  assert.equal((await samples(metrics)).get(`http_requests_total{${labels}}`), 1);
  assert.equal(lines.at(-1)?.route, 'unmatched');
});

test('a request in flight is counted until it ends', async (t) => {
  const { app, metrics } = await setup(t);
  const response = app.inject('/faults/delay/50');
  await until(() => metrics.inFlight === 1);
  assert.equal((await samples(metrics)).get('http_requests_in_flight'), 1);
  await response;
  assert.equal(metrics.inFlight, 0);
});

test('a client that goes away is counted as 499 and is no longer in flight', async (t) => {
  const { app, metrics, lines } = await setup(t);
  const port = await listen(app);
  const outgoing = get({ port, path: '/faults/delay/60000' }).on('error', () => {});
  await until(() => metrics.inFlight === 1);
  outgoing.destroy();
  await until(() => metrics.inFlight === 0);
  const labels = 'method="GET",route="/faults/delay/:ms",status_code="499"';
  assert.equal((await samples(metrics)).get(`http_requests_total{${labels}}`), 1);
  assert.equal(lines.at(-1)?.status_code, 499);
});

test('durations are measured in seconds', async (t) => {
  const { app, metrics } = await setup(t);
  await app.inject('/faults/delay/60');
  const labels = 'method="GET",route="/faults/delay/:ms",status_code="200"';
  const sum = (await samples(metrics)).get(`http_request_duration_seconds_sum{${labels}}`);
  assert.ok(Number(sum) >= 0.055 && Number(sum) < 5, String(sum));
  assert.equal(
    (await samples(metrics)).get(`http_requests_total{${GREETING},status_code="200"}`),
    0,
  );
});
