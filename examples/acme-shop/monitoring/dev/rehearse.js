// make rehearse: causes what an alert is for, and waits for its message, and for the message that it is
// over. rehearse.js NAME... | all [--service=NAME] [--faster=60] [--jobs=1] [--json=FILE]
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { configuration } from '../../checks/lib/alertmanager.js';
import { services } from '../../checks/lib/repository.js';
import { milliseconds, rules } from '../../checks/lib/rules.js';
import { onPath } from './processes.js';
import { Stack, sendsMail } from './stack.js';
import { send, Traffic } from './traffic.js';

const MEBIBYTE = 2 ** 20;
const MINUTE = 60_000;
const LOOK_EVERY_MS = 200;
// So many looks in a row without an alert, until it is over.
const STEADY = 5;

const objective = (name) =>
  Number(/^vector\((.+)\)$/.exec(rules().find(({ record }) => record === name).expr)[1]);
const availability = objective('slo:availability:objective');
const latency = objective('slo:latency:objective');
const thresholdMs = objective('slo:latency:threshold_seconds') * 1000;
// Above three times what the budget allows, where a ticket is written, and below six, where a page is.
const TICKET = 4.5;

/** Does something at once and again and again; returns what ends it. */
function every(ms, action) {
  action();
  const timer = setInterval(action, ms);
  return () => clearInterval(timer);
}

const post = (pod, path) => send(pod, path, { method: 'POST' });
const delay = (ms) => `/faults/delay/${Math.round(ms)}`;

/**
 * How each alert is rehearsed: `how` in words; `fault` causes it and returns what ends it. `rate` is of
 * the good requests per second before, `usual` says that there is a day of them in Prometheus, `slower`
 * divides the speed where windows would hold too few requests that fail. Of the two pods, the second one
 * stays well where the alert is about a pod, as a service that is down is another alert.
 */
const REHEARSALS = {
  HighErrorRate: {
    how: 'every request fails',
    fault: ({ traffic }) => traffic.spoil('/faults/status/500'),
  },
  ErrorBudgetBurn: {
    how: 'a few requests fail',
    rate: 200,
    fault: ({ traffic }) => traffic.spoil('/faults/status/500', TICKET * (1 - availability)),
  },
  SustainedErrors: {
    how: 'few requests come, and they fail',
    rate: 0.5,
    fault: ({ traffic }) => traffic.spoil('/faults/status/500'),
  },
  HighLatency: {
    how: 'every request is slow',
    fault: ({ traffic }) => traffic.spoil(delay(thresholdMs + 200)),
  },
  LatencyBudgetBurn: {
    how: 'a few requests are slow',
    rate: 50,
    fault: ({ traffic }) => traffic.spoil(delay(thresholdMs + 200), TICKET * (1 - latency)),
  },
  PodCrashLooping: {
    how: 'a pod exits whenever it is up',
    fault({ traffic, pods: [pod, ...others] }) {
      traffic.pods = others;
      return every(100, () => post(pod, '/faults/exit'));
    },
  },
  PodRestarting: {
    how: 'a pod exits five times',
    async fault({ traffic, pods: [pod, ...others] }) {
      traffic.pods = others;
      const enough = pod.restarts + 5;
      const end = every(100, () => {
        if (pod.restarts < enough) post(pod, '/faults/exit');
      });
      return end;
    },
  },
  PodOOMKilled: {
    how: 'a pod takes more memory than its limit',
    fault({ traffic, workload, pods: [pod, ...others] }) {
      traffic.pods = others;
      post(pod, `/faults/memory/${Math.ceil(workload.memoryLimit / MEBIBYTE)}`);
    },
  },
  ServiceDown: {
    how: 'every pod is stopped',
    async fault({ pods }) {
      await Promise.all(pods.map((pod) => pod.stop()));
      return () => pods.forEach((pod) => void pod.start());
    },
  },
  PodNotScraped: {
    how: 'a pod hangs',
    fault({ traffic, pods: [pod, ...others] }) {
      traffic.pods = others;
      pod.child.kill('SIGSTOP');
      return () => pod.child.kill('SIGCONT');
    },
  },
  ServiceNotScraped: {
    how: 'Prometheus loses its targets',
    fault({ stack }) {
      stack.target([]);
      return () => stack.target();
    },
  },
  KubeStateMetricsMissing: {
    how: 'kube-state-metrics does not answer',
    fault({ stack }) {
      stack.metrics.hidden = true;
      return () => {
        stack.metrics.hidden = false;
      };
    },
  },
  Watchdog: { how: 'nothing is wrong', always: true, fault() {} },
  EventLoopLagging: {
    how: 'a pod computes for a quarter of a second, again and again',
    rate: 100,
    fault({ traffic, pods: [pod, ...others] }) {
      traffic.pods = others;
      return every(500, () => post(pod, '/faults/block/250'));
    },
  },
  MemoryNearLimit: {
    how: 'a pod fills its memory to 95 %',
    async fault({ traffic, workload, pods: [pod, ...others] }) {
      traffic.pods = others;
      const free = 0.95 * workload.memoryLimit - pod.bytes;
      await post(pod, `/faults/memory/${Math.floor(free / MEBIBYTE)}`);
      return () => post(pod, '/faults/memory/0');
    },
  },
  AutoscalerAtMaximum: {
    how: 'the pods use much more CPU than they request',
    fault: ({ pods }) =>
      every(100, () => pods.forEach((pod) => void post(pod, '/faults/block/20'))),
  },
  TrafficAnomaly: {
    how: 'six times as many requests come',
    usual: true,
    fault({ traffic }) {
      const { rate } = traffic;
      traffic.rate = 6 * rate;
      return () => {
        traffic.rate = rate;
      };
    },
  },
  LatencyAnomaly: {
    how: 'every request takes a hundred times as long, within the objective',
    usual: true,
    fault: ({ traffic }) => traffic.spoil(delay(thresholdMs * 0.6)),
  },
  ErrorAnomaly: {
    how: 'a few requests fail',
    usual: true,
    slower: 2,
    rate: 200,
    fault: ({ traffic }) => traffic.spoil('/faults/status/500', TICKET * (1 - availability)),
  },
  TrafficDropped: {
    how: 'no more requests come',
    usual: true,
    fault({ traffic }) {
      const { rate } = traffic;
      traffic.rate = 0;
      return () => {
        traffic.rate = rate;
      };
    },
  },
};

/** The stacks that have to be ended, whatever happens. */
const running = new Set();

/** Waits until `probe` returns something; returns that and the seconds since `start`. */
async function until(what, ms, start, probe) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return { found, seconds: (Date.now() - start) / 1000 };
    if (Date.now() > end) throw new Error(`${what} within ${Math.round(ms / 1000)} s`);
    await sleep(LOOK_EVERY_MS);
  }
}

// What the receivers of Alertmanager's configuration are reached by.
const CHANNELS = { slack_configs: 'slack', email_configs: 'email', webhook_configs: 'heartbeat' };
const channelsOf = (receiver) => {
  const settings = configuration().receivers.find(({ name }) => name === receiver);
  return Object.keys(CHANNELS)
    .filter((key) => settings[key])
    .map((key) => CHANNELS[key]);
};

/** The messages of an alert so far: channel, title, text, and whether it says that it is over. */
async function messagesOf(stack, alert) {
  const about = ({ title }) => new RegExp(`\\b${alert}\\b`).test(title);
  const slack = stack.receiver.from('slack').flatMap(({ attachments }) => attachments);
  const heartbeats = stack.receiver.from('heartbeat').map(({ commonLabels, status }) => ({
    title: `${commonLabels.alertname} ${status}`,
    text: '',
  }));
  const letters = await stack.letters(about);
  return [
    ...slack.map((message) => ({ channel: 'slack', ...message })),
    ...heartbeats.map((message) => ({ channel: 'heartbeat', ...message })),
    ...letters.map((message) => ({ channel: 'email', ...message })),
  ]
    .filter(about)
    .map(({ channel, title, title_link, text }) => ({
      channel,
      title,
      link: title_link,
      text,
      resolved: /resolved/i.test(title),
    }));
}

async function receivers(stack, alert) {
  const answer = await fetch(`${stack.urls.Alertmanager}/api/v2/alerts/groups`);
  return (await answer.json())
    .filter(({ labels }) => labels.alertname === alert)
    .map(({ receiver }) => receiver.name);
}

/** The times that Prometheus and Alertmanager may take, with much to spare for a busy machine. */
function limits(alert, faster) {
  const waits = rules()
    .filter((rule) => rule.alert === alert)
    .map((rule) => milliseconds(rule.for ?? '0s'));
  const shortest = Math.min(...waits);
  return {
    firing: 0.75 * MINUTE + (shortest + 15 * MINUTE) / faster,
    message: MINUTE / 2 + (10 * MINUTE) / faster,
    // A window of an hour has to pass.
    resolved: MINUTE + 75 * (MINUTE / faster),
  };
}

async function rehearse(alert, { service, environment, faster: speed }) {
  const rehearsal = REHEARSALS[alert];
  const { rate = 20, usual = false, always = false, slower = 1, how, fault } = rehearsal;
  const faster = Math.max(1, speed / slower);
  const allowed = limits(alert, faster);
  const stack = new Stack({
    service,
    environment,
    faster,
    replicas: 2,
    usual: usual ? rate : 0,
  });
  running.add(stack);
  let traffic;
  const state = async () =>
    (await stack.alerts()).filter(({ labels }) => labels.alertname === alert);
  const firing = async () => (await state()).find((one) => one.state === 'firing');
  const told = async (channels, resolved) => {
    const all = await messagesOf(stack, alert);
    const here = (channel) =>
      all.some((message) => message.channel === channel && message.resolved === resolved);
    return channels.every(here) && all;
  };
  try {
    await stack.start();
    await stack.ready();
    const { pods, workload } = stack;
    traffic = new Traffic(pods, rate);
    const settled = [
      `count(up{namespace="apps"} == 1) == ${pods.length}`,
      'service:team:info',
      `count(pod:service:info) == ${pods.length}`,
      'service:http_requests:rate5m > 0',
      ...(usual ? ['service:http_requests:band_upper'] : []),
    ];
    for (const expr of settled) {
      await until(`Prometheus has no data of ${expr}`, MINUTE, Date.now(), async () => {
        const { length } = await stack.query(expr);
        return length > 0;
      });
    }
    if (!always && (await firing())) throw new Error('it fires without a reason');

    const start = Date.now();
    const end = await fault({ stack, traffic, pods, workload });
    const fired = await until('it did not fire', allowed.firing, start, firing);
    const grouped = await until('Alertmanager did not get it', allowed.message, start, async () => {
      const found = await receivers(stack, alert);
      return found.length > 0 && found;
    });
    const channels = grouped.found.flatMap(channelsOf);
    if (channels.length === 0) throw new Error(`its receiver ${grouped.found} tells nobody`);
    const to = channels.join(' and ');
    const sent = await until(`its message did not come by ${to}`, allowed.message, start, () =>
      told(channels, false),
    );
    const result = {
      alert,
      severity: fired.found.labels.severity,
      labels: fired.found.labels,
      annotations: fired.found.annotations,
      how,
      faster,
      channels,
      firing_seconds: fired.seconds,
      message_seconds: sent.seconds,
    };
    if (always) return { ...result, messages: sent.found };

    const over = Date.now();
    await end?.();
    traffic.pods = pods;
    // A scrape that came too late looks like the end, too, but is pending at once. An alert of a longer
    // window is pending for long after; it has told nobody.
    const isOn = (one) =>
      one.state === 'firing' || isDeepStrictEqual(one.labels, fired.found.labels);
    let calm = 0;
    const ended = await until('it did not resolve', allowed.resolved, over, async () => {
      calm = (await state()).some(isOn) ? 0 : calm + 1;
      return calm === STEADY;
    });
    const resolved = await until(`no message by ${to} that it is over`, allowed.message, over, () =>
      told(channels, true),
    );
    return {
      ...result,
      resolved_seconds: ended.seconds,
      resolved_message_seconds: resolved.seconds,
      messages: resolved.found,
    };
  } catch (error) {
    const seen = await state().catch(() => []);
    const states = seen.map((one) => one.state).join(', ') || 'inactive';
    throw new Error(
      [`${alert} (${how}): ${error.message}. In Prometheus it is ${states}.`, ...stack.broken].join(
        '\n',
      ),
    );
  } finally {
    traffic?.end();
    running.delete(stack);
    await stack.end();
  }
}

const inSeconds = (number) => (number === undefined ? '' : `${number.toFixed(1)} s`).padStart(9);

function line({ alert, channels, how, faster, ...times }, speed) {
  const columns = ['firing', 'message', 'resolved', 'resolved_message'];
  const figures = columns.map((column) => inSeconds(times[`${column}_seconds`]));
  const note = faster === speed ? '' : ` (${faster} times as fast)`;
  return `${alert.padEnd(24)}${figures.join('')}  ${channels.join(', ')}: ${how}${note}`;
}

function check(names) {
  const alerts = new Set(rules().flatMap(({ alert = [] }) => alert));
  const unknown = names.filter((name) => !alerts.has(name));
  if (unknown.length > 0) {
    throw new Error(`ALERT=${unknown}: there is no such alert; there are all, ${[...alerts]}`);
  }
  const without = names.filter((name) => !REHEARSALS[name]);
  if (without.length > 0) {
    throw new Error(`${without}: monitoring/dev/rehearse.js does not say how to cause it`);
  }
  const needed = ['prometheus', 'promtool', 'alertmanager', ...(sendsMail() ? ['mailpit'] : [])];
  const missing = needed.filter((program) => !onPath(program));
  if (missing.length > 0) {
    throw new Error(`${missing.join(', ')} missing: run 'mise install' (https://mise.jdx.dev)`);
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      service: { type: 'string', default: services[0] },
      environment: { type: 'string', default: 'dev' },
      faster: { type: 'string', default: '60' },
      jobs: { type: 'string', default: '1' },
      json: { type: 'string' },
    },
  });
  const everything = [...new Set(rules().flatMap(({ alert = [] }) => alert))];
  const names = positionals.includes('all') ? everything : positionals;
  check(names);
  const options = { ...values, faster: Number(values.faster) };
  const results = [];
  const left = [...names];
  let interrupted = false;
  const worker = async () => {
    while (left.length > 0) {
      try {
        const result = await rehearse(left.shift(), options);
        results.push(result);
        console.log(line(result, options.faster));
      } catch (error) {
        if (interrupted) return;
        console.error(error.message);
        process.exitCode = 1;
      }
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, async () => {
      interrupted = true;
      left.length = 0;
      await Promise.all([...running].map((stack) => stack.end()));
      process.exit(1);
    });
  }
  console.log(`Time passes ${options.faster} times as fast. Seconds until it`);
  console.log(
    `${''.padEnd(24)}${['fires', 'is told', 'is over', 'is told'].map((word) => word.padStart(9)).join('')}`,
  );
  await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
  if (values.json) writeFileSync(values.json, JSON.stringify(results, null, 2));
}

await main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
