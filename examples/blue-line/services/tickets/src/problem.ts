import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';

// A small body can break a rule thousands of times, and must not get a huge answer for it.
const MAX_VIOLATIONS = 20;

export const PROBLEM_TYPE = 'application/problem+json';

/** Body of every error response (RFC 9457). */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'Always about:blank: the status code says it all.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    violations: Type.Optional(
      Type.Array(
        Type.Object({
          in: Type.String({ description: 'Part of the request: params, querystring, body.' }),
          path: Type.String({ description: 'JSON pointer to the value.' }),
          message: Type.String(),
        }),
      ),
    ),
  },
  { $id: 'Problem', description: 'What went wrong (RFC 9457).' },
);
export type Problem = Static<typeof Problem>;

const problemResponse = (description: string) => ({
  description,
  content: { [PROBLEM_TYPE]: { schema: Type.Ref('Problem') } },
});

/** Spread this into the `response` schemas of a route. */
export const problemResponses = {
  '4xx': problemResponse('The request cannot be served as it is.'),
  '5xx': problemResponse('The service failed or is overloaded.'),
};

/** An error that a handler answers on purpose: `throw new HttpError(404, 'No such order.')`. */
export class HttpError extends Error {
  readonly statusCode: number;

  /** @param detail shown to the client when `statusCode` is below 500. */
  constructor(statusCode: number, detail = '') {
    super(detail);
    this.name = 'HttpError';
    this.statusCode = statusCode;
  }
}

/** The body for a status code. */
export function problem(status: number, extra: Partial<Problem> = {}): Problem {
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, ...extra };
}

/**
 * Answers any error as a problem. Errors that nobody meant are logged and hidden: their text may
 * hold internals.
 */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode, message, validation, validationContext } = (error ?? {}) as ErrorLike;
  const status = statusCode && statusCode >= 400 && statusCode <= 599 ? statusCode : 500;
  const extra: Partial<Problem> = {};
  if (status >= 500) {
    if (!(error instanceof HttpError)) request.log.error({ err: error }, 'unexpected error');
  } else if (validation) {
    extra.detail = 'The request does not match the schema.';
    extra.violations = validation
      .slice(0, MAX_VIOLATIONS)
      .map(({ instancePath, message = '' }) => ({
        in: validationContext ?? '',
        path: instancePath,
        message,
      }));
  } else if (message) {
    extra.detail = message;
  }
  // Whoever reports the error can name the line in the log.
  reply.header('x-request-id', request.id);
  reply.code(status).type(PROBLEM_TYPE).send(problem(status, extra));
}

type ErrorLike = Partial<
  Pick<
    import('fastify').FastifyError,
    'statusCode' | 'message' | 'validation' | 'validationContext'
  >
>;
