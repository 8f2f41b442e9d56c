import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import pkg from '../package.json' with { type: 'json' };
import { ConfigError, loadConfig, readVariables } from '../src/config.ts';

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems;
  }
  return [];
}

test('the environment name alone is enough to start', () => {
  const config = loadConfig({ ENVIRONMENT: 'production' });
  assert.equal(config.HTTP_PORT, 8080);
  assert.equal(config.METRICS_PORT, 9090);
  assert.equal(config.FAULTS_ENABLED, false);
  assert.equal(config.SERVICE_VERSION, pkg.version);
});

test('texts become numbers and booleans', () => {
  const config = loadConfig({ ENVIRONMENT: 'dev', HTTP_PORT: '0', FAULTS_ENABLED: 'true' });
  assert.equal(config.HTTP_PORT, 0);
  assert.equal(config.FAULTS_ENABLED, true);
});

test('unknown variables are left alone', () => {
  const config = loadConfig({ ENVIRONMENT: 'dev', PATH: '/bin', HTTP_PROT: '1' });
  assert.equal('PATH' in config, false);
});

test('every problem is reported at once, with its rule', () => {
  assert.deepEqual(
    problemsOf({
      HTTP_PORT: '65536',
      METRICS_PORT: '',
      LOG_LEVEL: 'loud',
      HOST: '',
      FAULTS_ENABLED: '1',
    }),
    [
      'ENVIRONMENT is missing: it must be one of local, dev, staging, production',
      'HOST is "": it must be a text that is not empty',
      'HTTP_PORT is "65536": it must be a whole number from 0 to 65535',
      'METRICS_PORT is "": it must be a whole number from 0 to 65535',
      'LOG_LEVEL is "loud": it must be one of fatal, error, warn, info, debug, trace',
      'FAULTS_ENABLED is "1": it must be true or false',
    ],
  );
});

for (const text of [' 80', '80.5', '1e3', '0x50', 'NaN', '-1', '٣']) {
  test(`${JSON.stringify(text)} is not a port`, () => {
    assert.equal(problemsOf({ ENVIRONMENT: 'dev', HTTP_PORT: text }).length, 1);
  });
}

test('the two ports must differ, unless both are picked by the system', () => {
  const same = problemsOf({ ENVIRONMENT: 'dev', HTTP_PORT: '7000', METRICS_PORT: '7000' });
  assert.match(String(same), /^METRICS_PORT is 7000, the same as HTTP_PORT/);
  assert.deepEqual(problemsOf({ ENVIRONMENT: 'dev', HTTP_PORT: '0', METRICS_PORT: '0' }), []);
});

test('faults are refused in production and allowed elsewhere', () => {
  const refused = problemsOf({ ENVIRONMENT: 'production', FAULTS_ENABLED: 'true' });
  assert.match(String(refused), /FAULTS_ENABLED is true: it must be false/);
  assert.deepEqual(problemsOf({ ENVIRONMENT: 'staging', FAULTS_ENABLED: 'true' }), []);
});

test('the value of a secret variable is not shown', () => {
  const { problems } = readVariables(
    { API_PIN: Type.Integer({ minimum: 0, maximum: 9999, secret: true }) },
    { API_PIN: 'hunter2' },
  );
  assert.deepEqual(problems, ['API_PIN is (hidden): it must be a whole number from 0 to 9999']);
});

test('the error message has one line for each problem', () => {
  const { message } = new ConfigError(['A is missing', 'B is missing']);
  assert.equal(message, 'Invalid configuration:\n  A is missing\n  B is missing');
});
