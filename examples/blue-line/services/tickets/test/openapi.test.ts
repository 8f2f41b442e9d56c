import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type TestContext, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { FastifyInstance } from 'fastify';
import pkg from '../package.json' with { type: 'json' };
import { setup } from './helpers.ts';

/** Routes that Fastify really registers, as `GET /a/{b}`: not from our code, but from Fastify. */
async function setupAndListRoutes(t: TestContext, env: NodeJS.ProcessEnv) {
  const routes = new Set<string>();
  const listen = (message: unknown) =>
    (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', ({ method, url }) => {
      for (const each of [method].flat()) {
        if (each !== 'HEAD') routes.add(`${each} ${url.replace(/:(\w+)/g, '{$1}')}`);
      }
    });
  subscribe('fastify.initialization', listen);
  const context = await setup(t, env);
  unsubscribe('fastify.initialization', listen);
  routes.delete('GET /metrics');
  return { ...context, routes };
}

for (const faults of ['true', 'false']) {
  test(`the document has the routes that exist, no more and no less (faults: ${faults})`, async (t) => {
    const { app, routes } = await setupAndListRoutes(t, { FAULTS_ENABLED: faults });
    const { paths } = (await app.inject('/openapi.json')).json();
    const documented = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    assert.ok(routes.has('POST /v1/quotes'));
    assert.equal(routes.has('POST /faults/exit'), faults === 'true');
    assert.deepEqual(new Set(documented), routes);
  });
}

test('the document is valid OpenAPI 3.1', async (t) => {
  const { app } = await setup(t);
  const document = (await app.inject('/openapi.json')).json();
  assert.match(document.openapi, /^3\.1\./);
  const { valid, errors } = await new Validator().validate(document);
  assert.deepEqual(errors ?? [], []);
  assert.equal(valid, true);
});

test('the document carries the name, version and description of the package', async (t) => {
  const { app } = await setup(t);
  assert.deepEqual((await app.inject('/openapi.json')).json().info, {
    title: pkg.name,
    version: pkg.version,
    description: pkg.description,
  });
});

test('every API route documents its errors as problems', async (t) => {
  const { app } = await setup(t);
  const document = (await app.inject('/openapi.json')).json();
  assert.ok(document.components.schemas.Problem.properties.violations);
  for (const [path, methods] of Object.entries<object>(document.paths)) {
    if (path === '/livez' || path === '/readyz') continue;
    for (const { responses } of Object.values(methods)) {
      for (const code of ['4XX', '5XX']) {
        assert.deepEqual(
          responses[code].content['application/problem+json'].schema,
          { $ref: '#/components/schemas/Problem' },
          path,
        );
      }
    }
  }
});
