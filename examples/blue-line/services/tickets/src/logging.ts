import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';

const SECRET_KEY = /authorization|cookie|credential|passw(or)?d|secret|token|(api|private).?key/i;

// pino cuts off deeper values itself.
const MAX_DEPTH = 6;

// pino's own `redact` knows only exact paths, and misses the request headers that HTTP clients
// attach somewhere below their errors.
function redact(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    copy[key] = SECRET_KEY.test(key) ? '[redacted]' : redact(item, depth + 1);
  }
  return copy;
}

// Most lines are flat and hold no secret: those are not copied.
function redactLine(line: Record<string, unknown>): Record<string, unknown> {
  for (const key in line) {
    if (typeof line[key] === 'object' || SECRET_KEY.test(key)) {
      return redact(line) as Record<string, unknown>;
    }
  }
  return line;
}

/**
 * Standard output. All lines of one turn of the event loop are written together at its end: single
 * writes would cost more than the requests that they tell about. Lines of the last turn are written
 * when the process exits.
 */
export function standardOutput(): DestinationStream {
  const output = destination({ dest: 1, sync: true });
  let batch = '';
  const flush = () => {
    output.write(batch);
    batch = '';
  };
  process.on('exit', flush);
  return {
    write(line) {
      if (batch === '') setImmediate(flush);
      batch += line;
    },
  };
}

let lastMs = 0;
let lastTime = '';

// Formats each millisecond once: at full load dozens of lines share one.
function isoTime(): string {
  const now = Date.now();
  if (now !== lastMs) {
    lastMs = now;
    lastTime = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastTime;
}

/** @param level least severe level that is logged. */
export function createLogger(level: string, stream: DestinationStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: redactLine,
      },
      serializers: { err: (error) => redact({ ...stdSerializers.err(error) }) },
    },
    stream,
  );
}

const TRACEPARENT = /^00-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})$/;

/**
 * Log fields from a W3C `traceparent` header, none unless it is valid. `span_id` is the caller's
 * span: this service starts none until a tracer is added, and an invented one would lead nowhere.
 */
export function traceFields(traceparent: unknown): { trace_id?: string; span_id?: string } {
  const match = parseTrace(traceparent);
  return match?.[1] && match[2] ? { trace_id: match[1], span_id: match[2] } : {};
}

/** Whether a valid W3C `traceparent` header says that the caller keeps this trace. */
export function isSampled(traceparent: unknown): boolean {
  const flags = parseTrace(traceparent)?.[3];
  return flags !== undefined && (Number.parseInt(flags, 16) & 1) === 1;
}

function parseTrace(traceparent: unknown): RegExpExecArray | null {
  return typeof traceparent === 'string' ? TRACEPARENT.exec(traceparent) : null;
}

const METHODS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent', 'child'] as const;

/**
 * Adds the ids of a request to what is logged. The child logger is made when something is: most
 * requests log nothing, and to make one costs about as much as to measure them.
 */
class RequestLog {
  readonly #parent: Logger;
  readonly #request: FastifyRequest;
  #child: Logger | undefined;

  constructor(parent: Logger, request: FastifyRequest) {
    this.#parent = parent;
    this.#request = request;
  }

  get level(): string {
    return this.#parent.level;
  }

  static {
    for (const method of METHODS) {
      Object.defineProperty(RequestLog.prototype, method, {
        get(this: RequestLog) {
          this.#child ??= this.#parent.child({
            request_id: this.#request.id,
            ...traceFields(this.#request.headers.traceparent),
          });
          return this.#child[method].bind(this.#child);
        },
      });
    }
  }
}

/** A logger for one request. */
export function requestLog(parent: Logger, request: FastifyRequest): FastifyBaseLogger {
  return new RequestLog(parent, request) as unknown as FastifyBaseLogger;
}
