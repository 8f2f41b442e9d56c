import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import pkg from '../package.json' with { type: 'json' };

/**
 * Every environment variable that the service reads, and the only place where a default or a port
 * number is stated. Mark a variable that holds a credential with `secret: true`: its value then
 * never appears in an error message.
 */
export const ConfigSchema = Type.Object({
  ENVIRONMENT: Type.Enum(['local', 'dev', 'staging', 'production'], {
    description: 'Where the service runs.',
  }),
  HOST: Type.String({
    default: '0.0.0.0',
    minLength: 1,
    description: 'Address that both ports listen on; `::` in an IPv6 cluster.',
  }),
  HTTP_PORT: Type.Integer({
    default: 8080,
    minimum: 0,
    maximum: 65535,
    description: 'Port of the API and the probes; 0 picks a free one.',
  }),
  METRICS_PORT: Type.Integer({
    default: 9090,
    minimum: 0,
    maximum: 65535,
    description: 'Port of `/metrics`; 0 picks a free one.',
  }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
    default: 'info',
    description: 'Least severe level that is logged.',
  }),
  LOG_REQUESTS: Type.Enum(['notable', 'all'], {
    default: 'notable',
    description:
      'Requests that are logged: `notable` are errors, those slower than the latency objective, and those of a sampled trace.',
  }),
  SERVICE_VERSION: Type.String({
    default: pkg.version,
    minLength: 1,
    description: 'Version shown in `build_info`; the default is the one in package.json.',
  }),
  SERVICE_REVISION: Type.String({
    default: 'unknown',
    minLength: 1,
    description: 'Git commit shown in `build_info`.',
  }),
  FAULTS_ENABLED: Type.Boolean({
    default: false,
    description: 'Adds the `/faults` routes; refused in production.',
  }),
  // A load balancer whose targets are pods sends some requests after a pod was told to end.
  SHUTDOWN_DRAIN_MS: Type.Integer({
    default: 30_000,
    minimum: 0,
    maximum: 120_000,
    description:
      'How long to keep serving after SIGTERM, so that load balancers stop sending first.',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    default: 20_000,
    minimum: 1,
    maximum: 600_000,
    description: 'Longest wait after the drain for requests in flight.',
  }),
  KEEP_ALIVE_TIMEOUT_MS: Type.Integer({
    default: 65_000,
    minimum: 1000,
    maximum: 4_000_000,
    description: "How long an idle connection stays open; longer than the load balancer's (60 s).",
  }),
  REQUEST_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 100,
    maximum: 300_000,
    description: 'Longest time to receive one whole request.',
  }),
  BODY_LIMIT_BYTES: Type.Integer({
    default: 16_384,
    minimum: 1,
    maximum: 16_777_216,
    description: 'Largest request body.',
  }),
  MAX_IN_FLIGHT: Type.Integer({
    default: 1000,
    minimum: 0,
    maximum: 1_000_000,
    description: 'API requests served at the same time; more are answered 503.',
  }),
  MAX_EVENT_LOOP_DELAY_MS: Type.Integer({
    default: 1000,
    minimum: 10,
    maximum: 60_000,
    description: 'Mean event loop delay over a second above which API requests are answered 503.',
  }),
});

export type Config = Static<typeof ConfigSchema>;

/** The part of a variable's JSON Schema that messages and the README are made from. */
export interface Variable {
  type?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
  secret?: boolean;
}

/** The environment cannot be used; `problems` holds one line for each reason. */
export class ConfigError extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`Invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What a variable must be, in words: `a whole number from 0 to 65535`. */
export function ruleOf(variable: Variable): string {
  if (variable.enum) return `one of ${variable.enum.join(', ')}`;
  if (variable.type === 'boolean') return 'true or false';
  if (variable.type === 'integer') {
    return `a whole number from ${variable.minimum} to ${variable.maximum}`;
  }
  return 'a text that is not empty';
}

/**
 * Reads the variables that `properties` describes and leaves all others alone.
 * @returns the values, and one line for each variable that is missing or wrong.
 */
export function readVariables(properties: Record<string, TSchema>, env: NodeJS.ProcessEnv) {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, property] of Object.entries(properties)) {
    const variable: Variable = property;
    const text = env[name];
    const value = text === undefined ? variable.default : convert(variable, text);
    if (value === undefined) {
      problems.push(`${name} is missing: it must be ${ruleOf(variable)}`);
    } else if (!Value.Check(property, value)) {
      const shown = variable.secret ? '(hidden)' : JSON.stringify(text);
      problems.push(`${name} is ${shown}: it must be ${ruleOf(variable)}`);
    }
    values[name] = value;
  }
  return { values, problems };
}

/**
 * The configuration of this process.
 * @throws {ConfigError} that lists every problem at once, so that one look is enough to fix all.
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const { values, problems } = readVariables(ConfigSchema.properties, env);
  const config = values as Config;
  if (config.HTTP_PORT === config.METRICS_PORT && config.HTTP_PORT !== 0) {
    problems.push(
      `METRICS_PORT is ${config.METRICS_PORT}, the same as HTTP_PORT: the two must differ`,
    );
  }
  if (config.FAULTS_ENABLED && config.ENVIRONMENT === 'production') {
    problems.push('FAULTS_ENABLED is true: it must be false when ENVIRONMENT is production');
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

// Number() alone would take "", " 80", "1e3" and "0x50" for numbers; each is more likely a mistake.
function convert({ type }: Variable, text: string): unknown {
  if (type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  return text;
}
