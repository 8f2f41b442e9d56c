// The objectives are stated in monitoring/rules/slo.yaml. A service needs the latency threshold as
// a boundary of its histogram, so its metrics module repeats it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { services } from './lib/repository.js';
import { rules } from './lib/rules.js';

/** The number that a recording rule of the form `vector(NUMBER)` states. */
function stated(record) {
  const rule = rules().find((candidate) => candidate.record === record);
  assert.ok(rule, `monitoring/rules/ has no recording rule ${record}`);
  const number = /^vector\(([0-9.]+)\)$/.exec(rule.expr)?.[1];
  assert.ok(number, `${record} must be vector(NUMBER), not ${rule.expr}`);
  return Number(number);
}

test('rules read the histogram bucket that ends at the latency threshold', () => {
  const threshold = stated('slo:latency:threshold_seconds');
  for (const { record, expr } of rules()) {
    for (const [, bucket] of expr.matchAll(/\ble="([^"]*)"/g)) {
      assert.equal(Number(bucket), threshold, `${record} reads le="${bucket}", not ${threshold}`);
    }
  }
});

for (const service of services) {
  test(`${service} has a histogram bucket that ends at the latency threshold`, async () => {
    const threshold = stated('slo:latency:threshold_seconds');
    const { LATENCY_BUCKETS } = await import(`../services/${service}/src/metrics.ts`);
    assert.ok(
      LATENCY_BUCKETS.includes(threshold),
      `services/${service}/src/metrics.ts: ${LATENCY_BUCKETS} must hold ${threshold}, ` +
        'the threshold of monitoring/rules/slo.yaml',
    );
  });
}
