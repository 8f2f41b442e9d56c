import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, traceFields } from '../src/logging.ts';

function logged(write: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = [];
  write(createLogger('info', { write: (line) => void lines.push(line) }));
  return lines;
}

test('a line is JSON with the level as a word and an ISO time', () => {
  const [line] = logged((logger) => logger.info('hello'));
  const { level, time, msg } = JSON.parse(String(line));
  assert.deepEqual([level, msg], ['info', 'hello']);
  assert.equal(new Date(time).toISOString(), time);
});

test('levels below the configured one are silent', () => {
  assert.deepEqual(
    logged((logger) => logger.debug('hello')),
    [],
  );
});

test('values under secret-like keys are replaced at any depth', () => {
  const [line] = logged((logger) =>
    logger.info({
      password: 'leak-1',
      user: { apiKey: 'leak-2', name: 'Ana' },
      calls: [{ headers: { Authorization: 'leak-3', 'set-cookie': ['leak-4'] } }],
      map: Object.assign(Object.create(null), { client_secret: 'leak-5' }),
    }),
  );
  assert.doesNotMatch(String(line), /leak/);
  assert.match(String(line), /"name":"Ana"/);
  assert.equal(String(line).match(/\[redacted\]/g)?.length, 5);
});

test('secrets that an error carries are replaced, its message and stack stay', () => {
  const error = Object.assign(new Error('upstream failed'), {
    config: { headers: { authorization: 'leak' } },
  });
  const [line] = logged((logger) => logger.error({ err: error }));
  assert.doesNotMatch(String(line), /leak/);
  const { err } = JSON.parse(String(line));
  assert.equal(err.message, 'upstream failed');
  assert.match(err.stack, /logging\.test/);
});

test('a circular value does not stop the logging', () => {
  const loop: Record<string, unknown> = { name: 'loop' };
  loop.self = loop;
  const [line] = logged((logger) => logger.info({ loop }));
  assert.equal(JSON.parse(String(line)).loop.name, 'loop');
});

test('line breaks in a value cannot forge a second line', () => {
  const lines = logged((logger) => logger.info({ name: 'a\n{"level":"error"}\u2028' }, 'b\r\nc'));
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.trimEnd().includes('\n'), false);
});

test('a valid traceparent gives the ids of the trace and the calling span', () => {
  assert.deepEqual(traceFields('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'), {
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: 'b7ad6b7169203331',
  });
});

for (const [flaw, header] of Object.entries({
  'is missing': undefined,
  'is repeated': ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  'has a trace id of zeros': '00-00000000000000000000000000000000-b7ad6b7169203331-01',
  'has a span id of zeros': '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
  'has upper case': '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
  'has version ff': 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'has a line break': '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n',
})) {
  test(`a traceparent that ${flaw} is ignored`, () => {
    assert.deepEqual(traceFields(header), {});
  });
}
