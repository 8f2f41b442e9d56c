// A day and an hour of usual traffic, as recorded series for Prometheus to begin with: without them it
// takes a day until there is a band for what is usual (monitoring/rules/anomalies.yaml).
const HOURS = 25;
const STEP_MS = 30_000;

const SECONDS = 0.002;

const series = (requestsPerSecond) => ({
  'service:http_requests:rate5m': requestsPerSecond,
  'service:http_errors:rate5m': 0,
  'service:http_slow:rate5m': 0,
  'service:http_errors:ratio_rate5m': 0,
  'service:http_request_duration_seconds:mean5m': SECONDS,
  'service:http_requests:mean1h': requestsPerSecond,
  'service:http_requests:stddev1h': requestsPerSecond / 20,
  'service:http_request_duration_seconds:mean1h': SECONDS,
  'service:http_request_duration_seconds:stddev1h': SECONDS / 20,
  'service:http_errors:ratio_mean1h': 0,
  'service:http_errors:ratio_stddev1h': 0,
});

/** The series in the text format OpenMetrics, up to now, with time divided by `faster`. */
export function history({ service, team, requestsPerSecond, faster, now = Date.now() }) {
  const step = STEP_MS / faster;
  const count = (HOURS * 3_600_000) / STEP_MS;
  const labels = `namespace="apps",service=${JSON.stringify(service)},team=${JSON.stringify(team)}`;
  const lines = Object.entries(series(requestsPerSecond)).flatMap(([name, value]) => [
    `# TYPE ${name} gauge`,
    ...Array.from({ length: count }, (_, index) => {
      const at = (now - (count - index) * step) / 1000;
      return `${name}{${labels}} ${value} ${at.toFixed(3)}`;
    }),
  ]);
  return `${lines.join('\n')}\n# EOF\n`;
}
