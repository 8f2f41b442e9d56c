import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

function judge(results, optional = '') {
  const needs = Object.entries(results).map(([job, result]) => [job, { result, outputs: {} }]);
  const env = { RESULTS: JSON.stringify(Object.fromEntries(needs)), OPTIONAL: optional };
  return spawnSync(process.execPath, [join(import.meta.dirname, 'all-succeeded.js')], { env })
    .status;
}

for (const [results, optional, status] of [
  [{ check: 'success', image: 'success' }, '', 0],
  [{ check: 'success', image: 'failure' }, '', 1],
  [{ check: 'success', image: 'cancelled' }, '', 1],
  // As when the job before it, which lists the services, has failed.
  [{ check: 'success', image: 'skipped' }, '', 1],
  [{ check: 'success', dependencies: 'skipped' }, 'dependencies', 0],
  [{ check: 'success', dependencies: 'failure' }, 'dependencies', 1],
  [{}, '', 1],
]) {
  test(`${JSON.stringify(results)} ${optional}: ${status === 0 ? 'passes' : 'fails'}`, () => {
    assert.equal(judge(results, optional), status);
  });
}
