// Where what `make dev` starts listens.
// Beside the service's own ports, and where others look for each. Each can be set as a variable.
const PORTS = {
  PROMETHEUS_PORT: 9091,
  ALERTMANAGER_PORT: 9093,
  GRAFANA_PORT: 3000,
  MAILPIT_PORT: 8025,
  SMTP_PORT: 1025,
};

/** The ports of a service and of what watches it, by the name of the variable that changes each. */
export async function portsOf(service) {
  const { ConfigSchema } = await import(`../../services/${service}/src/config.ts`);
  const { HTTP_PORT, METRICS_PORT } = ConfigSchema.properties;
  const defaults = { HTTP_PORT: HTTP_PORT.default, METRICS_PORT: METRICS_PORT.default, ...PORTS };
  return Object.fromEntries(
    Object.entries(defaults).map(([name, port]) => [name, Number(process.env[name] || port)]),
  );
}
