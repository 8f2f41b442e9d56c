// A service with what watches it in the cluster: Prometheus with the rules of monitoring/rules,
// Alertmanager with the routes and messages of monitoring/alertmanager, Grafana with the dashboards of
// monitoring/dashboards, an inbox, and stand-ins for Kubernetes and Slack.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { configuration, localAlertmanager, secretsOf } from '../../checks/lib/alertmanager.js';
import { read, root } from '../../checks/lib/repository.js';
import { linked, milliseconds, ruleGroups, faster as sooner } from '../../checks/lib/rules.js';
import { Metrics, Pod } from './cluster.js';
import { history } from './history.js';
import { dockerWorks, freePorts, HOST, onPath, Program } from './processes.js';
import { Receiver } from './receiver.js';
import { workloadOf } from './workload.js';

const GRAFANA =
  'grafana/grafana:13.2.0@sha256:3fd54ae1214669f8355f065ec9f6445d5279a3d77095ab048ca045685272429b';
// Prometheus' own defaults: how long a sample is valid, and until it sends an alert again.
const LOOKBACK_MS = 300_000;
const RESEND_MS = 60_000;
const START_MS = 30_000;

const url = (port, path = '') => `http://${HOST}:${port}${path}`;

/** How a service is started here: what its package.json has as the script `dev`, which also watches. */
export function devCommand(service) {
  const file = `services/${service}/package.json`;
  const { dev = '' } = JSON.parse(read(file)).scripts;
  const [, settings, args] = /^((?:\w+=\S+ )*)node (?:--watch )?(.+)$/.exec(dev) ?? [];
  if (!args) throw new Error(`${file}: scripts.dev must be like "NAME=value node --watch FILE"`);
  const env = Object.fromEntries(
    settings
      .trim()
      .split(' ')
      .map((pair) => pair.split('=')),
  );
  return { env, command: [process.execPath, ...args.split(' ')] };
}

const sends = (kind) => configuration().receivers.some((receiver) => receiver[kind]);

/** Does anybody get messages by email? */
export const sendsMail = () => sends('email_configs');

export class Stack {
  /** One line for each program that is not here. */
  missing = [];
  /** Addresses for people, by name. */
  urls = {};

  #programs = [];

  /**
   * @param service name of the folder below services/.
   * @param environment whose manifests say what the service may use.
   * @param replicas how many processes of the service.
   * @param faster divides every duration: of rules, routes, scrapes, and the kubelet.
   * @param ports wanted port by name, like PROMETHEUS_PORT; 0, or none, is any.
   * @param usual gives Prometheus a day and an hour of so many requests per second to begin with.
   * @param onLine gets each line that the service writes.
   * @param onMessage gets each message that Alertmanager sends.
   */
  constructor({
    service,
    environment = 'dev',
    replicas = 1,
    faster = 1,
    ports = {},
    grafana = false,
    usual = 0,
    onLine = () => {},
    onMessage,
  }) {
    Object.assign(this, { service, replicas, faster, ports, grafana, usual, onLine });
    this.workload = workloadOf(service, environment);
    this.receiver = new Receiver(onMessage);
  }

  /** A duration of the manifests or rules, as this stack has it. */
  #scaled = (ms) => `${Math.ceil(ms / this.faster)}ms`;

  async start() {
    this.folder = mkdtempSync(join(tmpdir(), 'slipway-dev-'));
    const wanted = { HTTP_PORT: 0, METRICS_PORT: 0, ...this.ports };
    for (const name of ['PROMETHEUS', 'ALERTMANAGER', 'MAILPIT', 'SMTP', 'GRAFANA']) {
      wanted[`${name}_PORT`] ??= 0;
    }
    const ports = await freePorts(wanted);
    await this.receiver.start();
    if (sends('slack_configs')) this.urls.Slack = this.receiver.url('slack');
    await this.#startPods(ports);
    this.metrics = new Metrics(this);
    await this.metrics.start();
    if (this.#has('mailpit', sendsMail())) await this.#startMailpit(ports);
    if (this.#has('alertmanager')) await this.#startAlertmanager(ports);
    this.urls.Grafana = url(ports.GRAFANA_PORT);
    if (this.#has('prometheus')) await this.#startPrometheus(ports);
    if (this.grafana && dockerWorks()) this.#startGrafana(ports);
    else delete this.urls.Grafana;
  }

  #has(program, needed = true) {
    if (!needed) return false;
    const there = onPath(program);
    if (!there) this.missing.push(program);
    return there;
  }

  #start(name, args) {
    const program = new Program(name, args, {
      cwd: this.folder,
      log: join(this.folder, `${name}.log`),
    });
    this.#programs.push(program);
    return program;
  }

  async #startPods(first) {
    const { command, env } = devCommand(this.service);
    const { service, workload, faster, onLine } = this;
    this.pods = [];
    for (let number = 0; number < this.replicas; number += 1) {
      const { HTTP_PORT, METRICS_PORT } = number
        ? await freePorts({ HTTP_PORT: 0, METRICS_PORT: 0 })
        : first;
      this.pods.push(
        new Pod({
          name: `${service}-${number}`,
          command,
          cwd: join(root, 'services', service),
          env: { ...process.env, HOST, ...env },
          ports: { HTTP_PORT, METRICS_PORT },
          workload,
          faster,
          onLine,
        }),
      );
    }
    for (const pod of this.pods) {
      this.urls[pod.name] = url(pod.ports.HTTP_PORT);
      pod.start();
    }
  }

  async #startMailpit({ MAILPIT_PORT, SMTP_PORT }) {
    this.smarthost = `${HOST}:${SMTP_PORT}`;
    this.urls.Mailpit = url(MAILPIT_PORT);
    const program = this.#start('mailpit', [
      `--listen=${HOST}:${MAILPIT_PORT}`,
      `--smtp=${this.smarthost}`,
      `--database=${join(this.folder, 'mail.db')}`,
      // Whatever password Alertmanager has been given here, and no TLS.
      '--smtp-auth-accept-any',
      '--smtp-auth-allow-insecure',
      '--disable-version-check',
    ]);
    await program.answers(url(MAILPIT_PORT, '/readyz'));
  }

  async #startAlertmanager({ ALERTMANAGER_PORT }) {
    const secrets = join(this.folder, 'secrets');
    mkdirSync(secrets);
    const known = {
      'slack-webhook-url': this.receiver.url('slack'),
      'heartbeat-url': this.receiver.url('heartbeat'),
    };
    for (const file of secretsOf(configuration()).files) {
      writeFileSync(join(secrets, file), known[file] ?? 'local');
    }
    const { smarthost = `${HOST}:9`, faster } = this;
    writeFileSync(
      join(this.folder, 'alertmanager.yaml'),
      localAlertmanager({ secrets, username: 'local', smarthost, faster }),
    );
    this.urls.Alertmanager = url(ALERTMANAGER_PORT);
    const program = this.#start('alertmanager', [
      '--config.file=alertmanager.yaml',
      `--storage.path=${join(this.folder, 'alertmanager')}`,
      `--web.listen-address=${HOST}:${ALERTMANAGER_PORT}`,
      `--web.external-url=${this.urls.Alertmanager}`,
      // One alone has nobody to agree with.
      '--cluster.listen-address=',
    ]);
    await program.answers(url(ALERTMANAGER_PORT, '/-/ready'));
  }

  /** Tells Prometheus which pods there are; without any, as if no ServiceMonitor fitted. */
  target(pods = this.pods) {
    const { service, workload } = this;
    const targets = pods.map(({ name, ports }) => ({
      targets: [`${HOST}:${ports.METRICS_PORT}`],
      // As Prometheus' operator labels what a ServiceMonitor finds.
      labels: {
        job: service,
        service,
        namespace: 'apps',
        pod: name,
        container: workload.container,
        endpoint: 'metrics',
        team: workload.team,
        ...Object.fromEntries(
          workload.podTargetLabels.map((label) => [label.replaceAll(/\W/g, '_'), 'local']),
        ),
      },
    }));
    const file = join(this.folder, 'targets.json');
    writeFileSync(`${file}.new`, JSON.stringify(targets));
    renameSync(`${file}.new`, file);
  }

  #prometheusConfig() {
    const interval = this.#scaled(milliseconds(this.workload.scrapeInterval));
    const standIn = [`${HOST}:${this.metrics.port}`];
    const alertmanager = this.urls.Alertmanager?.replace('http://', '');
    return {
      global: {
        scrape_interval: interval,
        scrape_timeout: interval,
        evaluation_interval: interval,
        external_labels: { cluster: 'local' },
      },
      rule_files: ['rules.json'],
      alerting: {
        alertmanagers: alertmanager ? [{ static_configs: [{ targets: [alertmanager] }] }] : [],
      },
      scrape_configs: [
        { job_name: 'services', file_sd_configs: [{ files: ['targets.json'] }] },
        {
          job_name: 'kube-state-metrics',
          honor_labels: true,
          static_configs: [
            {
              targets: standIn,
              labels: {
                namespace: 'monitoring',
                service: 'kube-prometheus-stack-kube-state-metrics',
                pod: 'kube-state-metrics-0',
                container: 'kube-state-metrics',
                endpoint: 'http',
              },
            },
          ],
        },
        {
          job_name: 'kubelet',
          honor_labels: true,
          metrics_path: '/metrics/cadvisor',
          static_configs: [
            {
              targets: standIn,
              labels: {
                namespace: 'kube-system',
                service: 'kube-prometheus-stack-kubelet',
                endpoint: 'https-metrics',
                metrics_path: '/metrics/cadvisor',
                node: 'local',
              },
            },
          ],
        },
      ],
    };
  }

  async #startPrometheus({ PROMETHEUS_PORT }) {
    let groups = ruleGroups();
    if (this.faster > 1) groups = sooner(groups, this.faster);
    groups = linked(groups, this.urls.Grafana);
    // JSON is YAML too.
    writeFileSync(join(this.folder, 'rules.json'), JSON.stringify({ groups }));
    this.target();
    writeFileSync(
      join(this.folder, 'prometheus.json'),
      JSON.stringify(this.#prometheusConfig(), null, 2),
    );
    if (this.usual > 0) this.#fillHistory();
    this.urls.Prometheus = url(PROMETHEUS_PORT);
    const program = this.#start('prometheus', [
      '--config.file=prometheus.json',
      `--storage.tsdb.path=${join(this.folder, 'prometheus')}`,
      `--web.listen-address=${HOST}:${PROMETHEUS_PORT}`,
      `--web.external-url=${this.urls.Prometheus}`,
      `--query.lookback-delta=${this.#scaled(LOOKBACK_MS)}`,
      // What Alertmanager missed while it started comes again soon.
      `--rules.alert.resend-delay=${Math.max(Math.ceil(RESEND_MS / this.faster), 5000)}ms`,
      '--enable-feature=exemplar-storage',
    ]);
    await program.answers(url(PROMETHEUS_PORT, '/-/ready'));
  }

  #fillHistory() {
    const { service, workload, faster, usual: requestsPerSecond } = this;
    const file = join(this.folder, 'history.txt');
    writeFileSync(file, history({ service, team: workload.team, requestsPerSecond, faster }));
    const args = ['tsdb', 'create-blocks-from', 'openmetrics', '--quiet', file];
    execFileSync('promtool', [...args, join(this.folder, 'prometheus')], { stdio: 'ignore' });
  }

  #startGrafana({ GRAFANA_PORT }) {
    const provisioning = join(this.folder, 'grafana');
    for (const kind of ['datasources', 'dashboards']) {
      mkdirSync(join(provisioning, kind), { recursive: true });
    }
    // On Linux a container shares the machine's loopback; elsewhere it runs in a machine of its own.
    const shared = process.platform === 'linux';
    const prometheus = shared
      ? this.urls.Prometheus
      : this.urls.Prometheus?.replace(HOST, 'host.docker.internal');
    writeFileSync(
      join(provisioning, 'datasources', 'prometheus.yaml'),
      JSON.stringify({
        apiVersion: 1,
        datasources: [
          {
            name: 'Prometheus',
            // The one that the chart gives it.
            uid: 'prometheus',
            type: 'prometheus',
            url: prometheus,
            isDefault: true,
            jsonData: {
              timeInterval: this.#scaled(milliseconds(this.workload.scrapeInterval)),
            },
          },
        ],
      }),
    );
    writeFileSync(
      join(provisioning, 'dashboards', 'files.yaml'),
      JSON.stringify({
        apiVersion: 1,
        providers: [
          {
            name: 'files',
            folder: basename(root),
            type: 'file',
            updateIntervalSeconds: 2,
            options: { path: '/dashboards' },
          },
        ],
      }),
    );
    const settings = {
      GF_SERVER_HTTP_ADDR: shared ? HOST : '0.0.0.0',
      GF_SERVER_HTTP_PORT: GRAFANA_PORT,
      GF_AUTH_ANONYMOUS_ENABLED: true,
      GF_AUTH_ANONYMOUS_ORG_ROLE: 'Admin',
      GF_ANALYTICS_REPORTING_ENABLED: false,
      GF_ANALYTICS_CHECK_FOR_UPDATES: false,
      GF_PLUGINS_PREINSTALL_DISABLED: true,
    };
    this.#start('docker', [
      'run',
      '--rm',
      ...(shared ? ['--network=host'] : [`--publish=${HOST}:${GRAFANA_PORT}:${GRAFANA_PORT}`]),
      `--volume=${provisioning}:/etc/grafana/provisioning:ro`,
      `--volume=${join(root, 'monitoring/dashboards')}:/dashboards:ro`,
      ...Object.entries(settings).map(([name, value]) => `--env=${name}=${value}`),
      GRAFANA,
    ]);
  }

  /** One line for each program that has ended by itself, with its last words. */
  get broken() {
    return this.#programs
      .filter(({ running }) => !running)
      .map(({ name, lastWords }) => `${name} has ended:\n${lastWords}`);
  }

  /** Waits until every pod says that it is ready. */
  async ready() {
    const end = Date.now() + START_MS;
    for (const pod of this.pods) {
      const { HTTP_PORT } = pod.ports;
      while (!(await fetch(url(HTTP_PORT, '/readyz')).catch(() => ({}))).ok) {
        if (Date.now() > end) throw new Error(`${pod.name} is not ready after ${START_MS} ms`);
        await sleep(50);
      }
    }
  }

  /** What Prometheus answers to a query now. */
  async query(expr) {
    const at = new URL('/api/v1/query', this.urls.Prometheus);
    at.searchParams.set('query', expr);
    const { data, error } = await (await fetch(at)).json();
    if (error) throw new Error(`${expr}: ${error}`);
    return data.result;
  }

  /** The alerts that Prometheus has now, pending ones too. */
  async alerts() {
    const { data } = await (await fetch(`${this.urls.Prometheus}/api/v1/alerts`)).json();
    return data.alerts;
  }

  /** The letters in the inbox that a test is true for: title, text. */
  async letters(test = () => true) {
    if (!this.urls.Mailpit) return [];
    const api = `${this.urls.Mailpit}/api/v1`;
    const { messages } = await (await fetch(`${api}/messages?limit=500`)).json();
    const found = messages.filter(({ Subject }) => test({ title: Subject }));
    return Promise.all(
      found.map(async ({ ID, Subject }) => {
        const { Text } = await (await fetch(`${api}/message/${ID}`)).json();
        return { title: Subject, text: Text };
      }),
    );
  }

  /** Ends all that was started, in bounded time. */
  async end() {
    await Promise.all([
      ...(this.pods ?? []).map((pod) => pod.stop()),
      ...this.#programs.map((program) => program.end()),
      this.metrics?.end(),
      this.receiver.end(),
    ]);
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}
