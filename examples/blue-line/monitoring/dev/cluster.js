// A stand-in for what only a cluster has: the kubelet that starts a container again and kills one that
// uses too much memory, the autoscaler, and the series in which kube-state-metrics and the kubelet tell
// of them. Processes and figures are real.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { end, listen, usageOf } from './processes.js';

const NAMESPACE = 'apps';
// The kubelet's: 0, 10, 20, 40 s ..., until a container has run for ten minutes.
const BACK_OFF_MS = 10_000;
const LONGEST_BACK_OFF_MS = 300_000;
const FORGIVEN_AFTER_MS = 600_000;
const LOOK_EVERY_MS = 100;
// The autoscaler's: how far a figure may be off before it acts, and how long before it scales down.
const TOLERANCE = 0.1;
const STABLE_MS = 300_000;
// What it looks at is an average over this time.
const USAGE_MS = 15_000;
const SHORTEST_USAGE_MS = 1000;

/** One pod: a process that is started again whenever it ends, unless `stop` was called. */
export class Pod {
  restarts = 0;
  /** Why it waits before it is started again. */
  waiting;
  lastTerminated;
  bytes = 0;
  /** Seconds of CPU of all its processes so far. */
  cpuSeconds = 0;

  #crashes = 0;
  #wanted = false;
  #killedFor;

  /**
   * @param command program and arguments.
   * @param workload what workloadOf says.
   * @param ports where it listens: `HTTP_PORT` and `METRICS_PORT`.
   * @param workload what workloadOf says.
   * @param faster divides the kubelet's times.
   * @param onLine gets each line that the process writes.
   */
  constructor({ name, command, cwd, env, ports, workload, faster, onLine }) {
    Object.assign(this, { name, command, cwd, env, ports, workload, faster, onLine });
  }

  get running() {
    return this.child !== undefined;
  }

  start() {
    this.#wanted = true;
    this.waiting = undefined;
    const [program, ...args] = this.command;
    const child = spawn(program, args, {
      cwd: this.cwd,
      env: { ...this.env, ...this.ports },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const started = Date.now();
    let counted = 0;
    this.child = child;
    createInterface({ input: child.stdout }).on('line', this.onLine);
    const look = setInterval(() => {
      try {
        const { bytes, seconds } = usageOf(child.pid);
        this.bytes = bytes;
        this.cpuSeconds += Math.max(0, seconds - counted);
        counted = seconds;
      } catch {
        return; // It is ending.
      }
      if (this.bytes > this.workload.memoryLimit) {
        this.#killedFor = 'OOMKilled';
        child.kill('SIGKILL');
      }
    }, LOOK_EVERY_MS);
    this.ended = once(child, 'exit').then(([code]) => {
      clearInterval(look);
      this.child = undefined;
      this.bytes = 0;
      if (this.#wanted) this.#again(code, Date.now() - started);
    });
  }

  #again(code, ranMs) {
    if (ranMs * this.faster > FORGIVEN_AFTER_MS) this.#crashes = 0;
    this.lastTerminated = this.#killedFor ?? (code === 0 ? 'Completed' : 'Error');
    this.#killedFor = undefined;
    const wait = this.#crashes && BACK_OFF_MS * 2 ** (this.#crashes - 1);
    this.#crashes += 1;
    const scaled = Math.min(wait, LONGEST_BACK_OFF_MS) / this.faster;
    if (scaled > 0) this.waiting = 'CrashLoopBackOff';
    this.onLine(`${this.name} ended (${this.lastTerminated}); it starts again in ${scaled} ms`);
    this.timer = setTimeout(() => {
      this.restarts += 1;
      this.start();
    }, scaled);
  }

  /** Ends the process for good, as when the pod is deleted. */
  async stop() {
    this.#wanted = false;
    this.waiting = undefined;
    clearTimeout(this.timer);
    if (this.child) await end(this.child, this.ended);
  }

  /** Ends the process and starts another one, as a new pod would: that is no restart. */
  async replace() {
    await this.stop();
    this.#crashes = 0;
    this.start();
  }
}

/** The pods that the HorizontalPodAutoscaler would want, by its own formula. */
export class Autoscaler {
  #usage = [];
  #wanted = [];

  constructor(workload, faster) {
    Object.assign(this, { workload, faster, replicas: workload.minReplicas });
  }

  /** Looks at the CPU seconds of all pods together; to be called again and again. */
  observe(cpuSeconds, now = Date.now()) {
    const { cpuRequest, cpuTarget, minReplicas, maxReplicas } = this.workload;
    const window = Math.max(USAGE_MS / this.faster, SHORTEST_USAGE_MS);
    this.#usage.push({ now, cpuSeconds });
    while (this.#usage.length > 2 && this.#usage[1].now <= now - window) this.#usage.shift();
    const [first] = this.#usage;
    if (now === first.now) return;
    const cores = (cpuSeconds - first.cpuSeconds) / ((now - first.now) / 1000);
    const ratio = cores / this.replicas / cpuRequest / cpuTarget;
    const raw = Math.abs(ratio - 1) <= TOLERANCE ? this.replicas : Math.ceil(ratio * this.replicas);
    const desired = Math.min(Math.max(raw, minReplicas), maxReplicas);
    this.#wanted.push({ now, desired });
    while (this.#wanted[0].now < now - STABLE_MS / this.faster) this.#wanted.shift();
    this.replicas = Math.max(desired, ...this.#wanted.map((one) => one.desired));
  }
}

const text = (name, series) =>
  series.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([key, label]) => `${key}=${JSON.stringify(label)}`);
    return `${name}{${pairs.join(',')}} ${value}\n`;
  });

const exposition = (families) =>
  Object.entries(families).flatMap(([name, [type, series]]) => [
    `# TYPE ${name} ${type}\n`,
    ...text(name, series),
  ]);

/** What kube-state-metrics tells of a service and its pods. */
export function stateMetrics({ service, workload, pods, replicas }) {
  const { team, container, memoryLimit, cpuRequest, minReplicas, maxReplicas } = workload;
  const own = { namespace: NAMESPACE, service, uid: `service-${service}` };
  const of = ({ name }) => ({ namespace: NAMESPACE, pod: name, uid: `pod-${name}` });
  const inside = (pod) => ({ ...of(pod), container });
  const autoscaler = { namespace: NAMESPACE, horizontalpodautoscaler: service };
  const node = 'local';
  return exposition({
    kube_service_info: ['gauge', [[{ ...own, cluster_ip: '127.0.0.1' }, 1]]],
    kube_service_labels: ['gauge', [[{ ...own, label_team: team }, 1]]],
    kube_pod_info: ['gauge', pods.map((pod) => [{ ...of(pod), node }, 1])],
    kube_pod_labels: [
      'gauge',
      pods.map((pod) => [{ ...of(pod), label_app_kubernetes_io_name: service }, 1]),
    ],
    kube_pod_container_status_restarts_total: [
      'counter',
      pods.map((pod) => [inside(pod), pod.restarts]),
    ],
    kube_pod_container_status_waiting_reason: [
      'gauge',
      pods.filter((pod) => pod.waiting).map((pod) => [{ ...inside(pod), reason: pod.waiting }, 1]),
    ],
    kube_pod_container_status_last_terminated_reason: [
      'gauge',
      pods
        .filter((pod) => pod.lastTerminated)
        .map((pod) => [{ ...inside(pod), reason: pod.lastTerminated }, 1]),
    ],
    kube_pod_container_resource_limits: [
      'gauge',
      pods.map((pod) => [{ ...inside(pod), node, resource: 'memory', unit: 'byte' }, memoryLimit]),
    ],
    kube_pod_container_resource_requests: [
      'gauge',
      pods.map((pod) => [{ ...inside(pod), node, resource: 'cpu', unit: 'core' }, cpuRequest]),
    ],
    kube_horizontalpodautoscaler_spec_min_replicas: ['gauge', [[autoscaler, minReplicas]]],
    kube_horizontalpodautoscaler_spec_max_replicas: ['gauge', [[autoscaler, maxReplicas]]],
    kube_horizontalpodautoscaler_status_current_replicas: ['gauge', [[autoscaler, replicas]]],
    kube_horizontalpodautoscaler_status_desired_replicas: ['gauge', [[autoscaler, replicas]]],
  }).join('');
}

/** What the kubelet tells of containers: cAdvisor's series. */
export function containerMetrics({ workload, pods }) {
  const running = pods.filter((pod) => pod.running);
  const of = ({ name }) => ({
    container: workload.container,
    id: `/${name}`,
    image: 'local',
    name,
    namespace: NAMESPACE,
    pod: name,
  });
  return exposition({
    container_cpu_usage_seconds_total: [
      'counter',
      running.map((pod) => [{ ...of(pod), cpu: 'total' }, pod.cpuSeconds]),
    ],
    container_memory_working_set_bytes: ['gauge', running.map((pod) => [of(pod), pod.bytes])],
  }).join('');
}

/** Serves both on a free port; `hide` makes it stay silent. */
export class Metrics {
  hidden = false;

  constructor({ service, workload, pods, faster }) {
    const autoscaler = new Autoscaler(workload, faster);
    this.timer = setInterval(() => {
      autoscaler.observe(pods.reduce((sum, pod) => sum + pod.cpuSeconds, 0));
    }, LOOK_EVERY_MS);
    this.server = createServer((request, response) => {
      if (this.hidden) return response.destroy();
      const pages = { '/metrics': stateMetrics, '/metrics/cadvisor': containerMetrics };
      const page = pages[request.url];
      if (!page) return response.writeHead(404).end();
      response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
      response.end(page({ service, workload, pods, replicas: autoscaler.replicas }));
    });
  }

  async start() {
    this.port = await listen(this.server);
  }

  async end() {
    clearInterval(this.timer);
    this.server.closeAllConnections();
    this.server.close();
  }
}
