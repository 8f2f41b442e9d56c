// What the manifests say of a service, as far as its stand-in for a cluster needs it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { objectsOf, renderApp } from '../../checks/lib/render.js';
import { root } from '../../checks/lib/repository.js';
import { onPath } from './processes.js';

const UNITS = { m: 1e-3, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };

/** A quantity of Kubernetes, like `100m` or `256Mi`, as a number. */
export function quantity(text) {
  const [, number, unit] = /^([\d.]+)([a-zA-Z]*)$/.exec(text) ?? [];
  const factor = unit ? UNITS[unit] : 1;
  if (!number || !factor) throw new Error(`${text} is not a quantity that is known here`);
  return number * factor;
}

// Without the program that renders manifests: what the shipped ones say.
const FALLBACK = {
  team: 'acme-shop',
  container: 'service',
  memoryLimit: quantity('256Mi'),
  cpuRequest: quantity('100m'),
  cpuTarget: 0.7,
  minReplicas: 2,
  maxReplicas: 4,
  scrapeInterval: '30s',
  podTargetLabels: [],
};

/**
 * What a service is in an environment: its team, its container's memory limit in bytes and CPU request
 * in cores, what its autoscaler wants, and how it is scraped. `assumed` says why, when it is not from
 * the manifests.
 */
export function workloadOf(service, environment) {
  const renderer = existsSync(join(root, 'deploy/charts/service')) ? 'helm' : 'kustomize';
  if (!onPath(renderer)) return { ...FALLBACK, assumed: `${renderer} is missing` };
  const objects = objectsOf(renderApp(service, environment));
  const only = (...kinds) => objects.find(({ kind }) => kinds.includes(kind));
  const [container] = only('Deployment', 'Rollout').spec.template.spec.containers;
  const { resources } = container;
  const { minReplicas, maxReplicas, metrics } = only('HorizontalPodAutoscaler').spec;
  const monitor = only('ServiceMonitor').spec;
  return {
    team: only('Service').metadata.labels.team,
    container: container.name,
    memoryLimit: quantity(resources.limits.memory),
    cpuRequest: quantity(resources.requests.cpu),
    cpuTarget: metrics[0].resource.target.averageUtilization / 100,
    minReplicas,
    maxReplicas,
    scrapeInterval: monitor.endpoints[0].interval,
    podTargetLabels: monitor.podTargetLabels ?? [],
  };
}
