import { randomBytes } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { Ajv } from 'ajv';
import {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyHttpOptions,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify';
import type { Logger } from 'pino';
import { Type } from 'typebox';
import pkg from '../package.json' with { type: 'json' };
import type { Config } from './config.ts';
import { type Metrics, UNMATCHED_ROUTE } from './metrics.ts';
import { overloadDetector, RETRY_AFTER_SECONDS } from './overload.ts';
import {
  HttpError,
  PROBLEM_TYPE,
  Problem,
  problem,
  problemResponses,
  sendProblem,
} from './problem.ts';
import { faults } from './routes/faults.ts';
import { greetings } from './routes/greetings.ts';
import { health } from './routes/health.ts';
import { quotes } from './routes/quotes.ts';
import { createTracker } from './telemetry.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the application needs from the process around it. */
export interface Dependencies {
  config: Config;
  logger: Logger;
  metrics: Metrics;
  /** Turns `draining` to true when the shutdown begins. */
  lifecycle: { draining: boolean };
  exit: (code: number) => void;
}

const CONNECTION_LIMITS = {
  // Request line and headers together, so it bounds the URL too.
  maxHeaderSize: 16_384,
  // How often the two request timeouts are looked at; Node's 30 s would stretch them.
  connectionsCheckingInterval: 1000,
};
const HEADERS_TIMEOUT_MS = 10_000;
const MAX_PARAM_LENGTH = 256;

// JSON has types, so a body must use them: coercion would turn a price of null into 0. Paths and
// queries are text, so their values are converted first. `allErrors` is safe while bodies are small.
const typed = new Ajv({ allErrors: true, useDefaults: true });
const text = new Ajv({ allErrors: true, useDefaults: true, coerceTypes: 'array' });

const SAFE_REQUEST_ID = /^[\w.-]{8,64}$/;

/**
 * The API and its probes, ready to listen.
 * @param routes each adds a part of the API.
 * @returns an instance that the caller must close.
 */
export async function buildApp(
  dependencies: Dependencies,
  routes: ((api: App) => void)[] = [greetings, quotes],
): Promise<App> {
  const { config, logger, metrics, lifecycle, exit } = dependencies;

  const common = serverOptions(config);
  const app: App = fastify({
    ...common,
    genReqId: requestId,
    // It would answer without our error format, and without need: the drain is over by then.
    return503OnClosing: false,
    frameworkErrors(error, request, reply) {
      track(request, reply, UNMATCHED_ROUTE, false);
      common.frameworkErrors(error, request, reply);
    },
  }).withTypeProvider<TypeBoxTypeProvider>();

  const track = createTracker(logger, metrics, config);
  const overloaded = overloadDetector(app, config, metrics);

  // Fastify's own logger makes a child for each request; the tracker's makes one when it is needed.
  app.log = logger;
  app.setValidatorCompiler(({ schema, httpPart }) =>
    (httpPart === 'body' ? typed : text).compile(schema),
  );
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler(notFound);
  app.addSchema(Problem);
  // The first hook of all, so that a request which a later one refuses is measured and logged too.
  app.addHook('onRequest', (request, reply, done) => {
    const { url: route = UNMATCHED_ROUTE, config } = request.routeOptions;
    const probe = config.probe === true;
    track(request, reply, route, probe);
    if (request.headers['x-request-id'] === request.id) reply.header('x-request-id', request.id);
    if (probe || !overloaded()) return done();
    reply.header('retry-after', RETRY_AFTER_SECONDS);
    done(new HttpError(503));
  });
  app.addHook('onRoute', ({ method, url, config, schema }) => {
    if (config?.probe || method === 'HEAD') return;
    const documented = Object.keys((schema?.response ?? {}) as object).map(Number);
    for (const each of [method].flat()) {
      metrics.declare(each, url, [...documented.filter((code) => code < 300), 500, 503]);
    }
  });

  app.addHook('onSend', (_request, reply, payload, done) => {
    // Moves keep-alive clients to another replica before this one stops.
    if (lifecycle.draining) reply.header('connection', 'close');
    done(null, payload);
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: { title: pkg.name, version: pkg.version, description: pkg.description },
    },
    refResolver: { buildLocalReference: ({ $id }) => String($id) },
  });
  health(app, lifecycle);
  await app.register(async (api: App) => {
    for (const addTo of routes) addTo(api);
    if (config.FAULTS_ENABLED) faults(api, exit);
    api.get(
      '/openapi.json',
      {
        schema: {
          summary: 'This document',
          tags: ['meta'],
          response: { 200: Type.Object({}, { additionalProperties: true }), ...problemResponses },
        },
      },
      async () => app.swagger(),
    );
  });
  await app.ready();
  return app;
}

/**
 * `/metrics` alone, for a port that only the monitoring reaches and that answers until the end of
 * the shutdown.
 * @returns an instance that the caller must close.
 */
export async function buildMetricsApp({ config, logger, metrics }: Dependencies) {
  const app = fastify({ ...serverOptions(config), loggerInstance: logger as FastifyBaseLogger });
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler(notFound);
  app.get('/metrics', async (_request, reply) => {
    const text = await metrics.registry.metrics();
    return reply.type(metrics.registry.contentType).send(text);
  });
  await app.ready();
  return app;
}

function serverOptions(config: Config) {
  return {
    // Fastify writes two lines a request, with URLs; the tracker writes one without.
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id',
    }),
    bodyLimit: config.BODY_LIMIT_BYTES,
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    http: {
      ...CONNECTION_LIMITS,
      // Node swaps the two when this one is longer.
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, config.REQUEST_TIMEOUT_MS),
      requestTimeout: config.REQUEST_TIMEOUT_MS,
    },
    clientErrorHandler: answerClientError,
    // For URLs that cannot be routed. Fastify's own message repeats them.
    frameworkErrors(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
      sendProblem(new HttpError(error.statusCode ?? 400), request, reply);
    },
  } satisfies FastifyHttpOptions<RawServerDefault>;
}

// A random start and a counter: unique across replicas, and cheaper than a random id each time.
const ID_PREFIX = randomBytes(6).toString('hex');
let sequence = 0;

function requestId({ headers }: IncomingMessage): string {
  const id = headers['x-request-id'];
  // Anything else from outside would get into logs, and into other systems, as it is.
  if (typeof id === 'string' && SAFE_REQUEST_ID.test(id)) return id;
  sequence += 1;
  return `${ID_PREFIX}-${sequence.toString(36)}`;
}

function notFound(request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(new HttpError(404, 'No such route.'), request, reply);
}

const CLIENT_ERRORS: Record<string, number> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/** Answers what is not HTTP, or not in time: there is no request yet that a route could answer. */
function answerClientError(this: FastifyInstance, error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = CLIENT_ERRORS[error.code] ?? 400;
  const body = JSON.stringify(problem(status));
  this.log.info({ code: error.code, status_code: status }, 'request refused');
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      `date: ${new Date().toUTCString()}\r\n` +
      `content-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
      `connection: close\r\n\r\n${body}`,
  );
}
