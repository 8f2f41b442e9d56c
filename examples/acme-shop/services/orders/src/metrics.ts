import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client';

/**
 * The only place where metric names, labels and buckets are stated. Alerts, dashboards and contract
 * checks import or compare with these constants.
 *
 * Measured are the requests for the API, the faults and everything that has no route. Probes are
 * not: the kubelet's steady successes would dilute the error rate that the SLO is about.
 */

/** The latency objective counts requests that took at most this many seconds. */
export const SLO_LATENCY_SECONDS = Number('0.3');

/** Histogram boundaries in seconds. The objective is always one of them, so its ratio is exact. */
export const LATENCY_BUCKETS: readonly number[] = [
  ...new Set([
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    SLO_LATENCY_SECONDS,
  ]),
].sort((a, b) => a - b);

const REQUEST_LABELS = ['method', 'route', 'status_code'] as const;
type RequestLabel = (typeof REQUEST_LABELS)[number];

export const METRICS = {
  requests: {
    name: 'http_requests_total',
    type: 'counter',
    help: 'Requests answered.',
    labelNames: REQUEST_LABELS,
  },
  duration: {
    name: 'http_request_duration_seconds',
    type: 'histogram',
    help: 'Seconds from the parsed request headers to the end of the response.',
    labelNames: REQUEST_LABELS,
    buckets: LATENCY_BUCKETS,
  },
  inFlight: {
    name: 'http_requests_in_flight',
    type: 'gauge',
    help: 'Requests being served now.',
    labelNames: [],
  },
  buildInfo: {
    name: 'build_info',
    type: 'gauge',
    help: 'Always 1; the labels say what is running.',
    labelNames: ['version', 'revision', 'node_version'],
  },
} as const;

/** `route` of every request that no route matched, whatever its URL. */
export const UNMATCHED_ROUTE = 'unmatched';

/** `method` of every request whose method is not in `KNOWN_METHODS`. */
export const OTHER_METHOD = '_OTHER';

/** `status_code` when the client went away before the response was complete. */
export const CLIENT_CLOSED_REQUEST = 499;

export const KNOWN_METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
]);

interface Series {
  labels: Record<RequestLabel, string>;
  /** Durations in seconds that the metrics do not have yet. */
  pending: number[];
}

const MAX_PENDING = 500;

/** The metrics of one process. Label values are bounded here, whatever clients send. */
export class Metrics {
  readonly registry = new Registry();
  /** Requests being served now, probes too. */
  inFlight = 0;

  readonly #requests: Counter<RequestLabel>;
  readonly #duration: Histogram<RequestLabel>;
  readonly #series = new Map<string, Series>();

  /**
   * @param version of the service.
   * @param revision git commit that it was built from.
   */
  constructor(version: string, revision: string) {
    const registers = [this.registry];
    const collect = () => {
      for (const series of this.#series.values()) this.#record(series);
    };
    this.#requests = new Counter({ ...METRICS.requests, registers, collect });
    this.#duration = new Histogram({
      ...METRICS.duration,
      buckets: [...METRICS.duration.buckets],
      registers,
      collect,
    });
    collectDefaultMetrics({ register: this.registry });
    const inFlight: Gauge = new Gauge({
      ...METRICS.inFlight,
      registers,
      collect: () => inFlight.set(this.inFlight),
    });
    new Gauge({ ...METRICS.buildInfo, registers }).set(
      { version, revision, node_version: process.version },
      1,
    );
    this.declare('GET', UNMATCHED_ROUTE, [404]);
    this.declare(OTHER_METHOD, UNMATCHED_ROUTE, [404]);
  }

  /**
   * Creates series with the value 0. Without them the first error after a start would be invisible:
   * `rate()` sees no increase in a series that begins at 1.
   */
  declare(method: string, route: string, statusCodes: number[]): void {
    for (const statusCode of statusCodes) this.#find(method, route, statusCode);
  }

  /**
   * Counts a finished request.
   * @param route pattern that matched, or `UNMATCHED_ROUTE`; never a URL.
   * @param seconds that the request took.
   */
  observe(method: string, route: string, statusCode: number, seconds: number): void {
    const series = this.#find(method, route, statusCode);
    // One by one, the client's bookkeeping costs each request as much as all routing does; in a
    // tight loop it costs a fifth of that.
    if (series.pending.push(seconds) === MAX_PENDING) this.#record(series);
  }

  #record({ labels, pending }: Series): void {
    this.#requests.inc(labels, pending.length);
    for (const seconds of pending) this.#duration.observe(labels, seconds);
    pending.length = 0;
  }

  #find(method: string, route: string, statusCode: number): Series {
    const known = KNOWN_METHODS.has(method) ? method : OTHER_METHOD;
    const key = `${known} ${statusCode} ${route}`;
    let series = this.#series.get(key);
    if (!series) {
      const labels = { method: known, route, status_code: String(statusCode) };
      this.#requests.inc(labels, 0);
      this.#duration.zero(labels);
      series = { labels, pending: [] };
      this.#series.set(key, series);
    }
    return series;
  }
}
