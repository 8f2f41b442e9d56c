import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  LATENCY_BUCKETS,
  METRICS,
  Metrics,
  OTHER_METHOD,
  SLO_LATENCY_SECONDS,
  UNMATCHED_ROUTE,
} from '../src/metrics.ts';
import { samples } from './helpers.ts';

const create = () => new Metrics('1.2.3', 'abcdef0');

test('the latency objective is one of the buckets', () => {
  assert.ok(SLO_LATENCY_SECONDS > 0);
  assert.ok(LATENCY_BUCKETS.includes(SLO_LATENCY_SECONDS));
});

test('buckets rise and none is there twice', () => {
  assert.deepEqual(
    LATENCY_BUCKETS,
    [...new Set(LATENCY_BUCKETS)].sort((a, b) => a - b),
  );
  const usual = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
  assert.deepEqual(new Set(LATENCY_BUCKETS), new Set([...usual, SLO_LATENCY_SECONDS]));
});

test('a request is counted once, in the buckets that it belongs to', async () => {
  const metrics = create();
  metrics.observe('GET', '/a/:b', 200, SLO_LATENCY_SECONDS);
  const after = await samples(metrics);
  const labels = 'method="GET",route="/a/:b",status_code="200"';
  assert.equal(after.get(`http_requests_total{${labels}}`), 1);
  assert.equal(after.get(`http_request_duration_seconds_count{${labels}}`), 1);
  assert.equal(after.get(`http_request_duration_seconds_sum{${labels}}`), SLO_LATENCY_SECONDS);
  const bucket = (le: number | undefined) =>
    after.get(`http_request_duration_seconds_bucket{le="${le}",${labels}}`);
  const index = LATENCY_BUCKETS.indexOf(SLO_LATENCY_SECONDS);
  assert.equal(bucket(SLO_LATENCY_SECONDS), 1);
  if (index > 0) assert.equal(bucket(LATENCY_BUCKETS[index - 1]), 0);
});

test('no request is lost between two scrapes, however many there are', async () => {
  const metrics = create();
  for (let i = 0; i < 1234; i += 1) metrics.observe('GET', '/a', 200, 0.001);
  const labels = 'method="GET",route="/a",status_code="200"';
  assert.equal((await samples(metrics)).get(`http_requests_total{${labels}}`), 1234);
  metrics.observe('GET', '/a', 200, 0.001);
  const after = await samples(metrics);
  assert.equal(after.get(`http_requests_total{${labels}}`), 1235);
  assert.equal(after.get(`http_request_duration_seconds_count{${labels}}`), 1235);
});

test('declared series start at zero', async () => {
  const metrics = create();
  metrics.declare('GET', '/a', [200, 500]);
  const after = await samples(metrics);
  for (const code of [200, 500]) {
    const labels = `method="GET",route="/a",status_code="${code}"`;
    assert.equal(after.get(`http_requests_total{${labels}}`), 0);
    assert.equal(after.get(`http_request_duration_seconds_bucket{le="+Inf",${labels}}`), 0);
  }
});

test('unknown methods share one label value', async () => {
  const metrics = create();
  for (const method of ['M-SEARCH', 'BREW', 'get']) {
    metrics.observe(method, UNMATCHED_ROUTE, 404, 0.001);
  }
  const labels = `method="${OTHER_METHOD}",route="${UNMATCHED_ROUTE}",status_code="404"`;
  assert.equal((await samples(metrics)).get(`http_requests_total{${labels}}`), 3);
});

test('requests in flight and the build are gauges', async () => {
  const metrics = create();
  metrics.inFlight = 7;
  const after = await samples(metrics);
  assert.equal(after.get('http_requests_in_flight'), 7);
  assert.equal(
    after.get(`build_info{version="1.2.3",revision="abcdef0",node_version="${process.version}"}`),
    1,
  );
});

test('every exported metric is exposed with its type, next to those of the runtime', async () => {
  const text = await create().registry.metrics();
  for (const { name, type } of Object.values(METRICS)) {
    assert.match(text, new RegExp(`^# TYPE ${name} ${type}$`, 'm'));
  }
  assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m);
  assert.match(text, /^process_cpu_seconds_total /m);
});
