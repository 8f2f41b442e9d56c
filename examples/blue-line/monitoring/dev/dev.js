// make dev: a service here, started again on every change, with what watches it in the cluster.
import { watch } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root, services } from '../../checks/lib/repository.js';
import { portsOf } from './ports.js';
import { readable } from './receiver.js';
import { Stack } from './stack.js';

const SETTLE_MS = 100;

function show(stack) {
  const { assumed, memoryLimit } = stack.workload;
  const width = Math.max(...Object.keys(stack.urls).map(({ length }) => length));
  for (const [name, address] of Object.entries(stack.urls)) {
    console.log(`${name.padEnd(width)}  ${address}`);
  }
  if (stack.missing.length > 0) {
    console.log(`Not here: ${stack.missing.join(', ')}. "mise install" gets them.`);
  }
  if (!stack.urls.Grafana) console.log('Not here: Grafana, which needs Docker.');
  if (assumed) {
    console.log(`Limits are not those of the manifests, but usual ones: ${assumed}.`);
  }
  console.log(`Memory limit ${memoryLimit / 2 ** 20} MiB. Ctrl-C ends all of it.`);
}

function restartOnChange(stack) {
  let timer;
  watch(join(root, 'services', stack.service, 'src'), { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      console.log('The source has changed: starting again.');
      for (const pod of stack.pods) pod.replace();
    }, SETTLE_MS);
  });
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      faster: { type: 'string', default: '1' },
      environment: { type: 'string', default: 'dev' },
      replicas: { type: 'string', default: '1' },
      usual: { type: 'string', default: '0' },
    },
  });
  const [service] = positionals;
  if (!services.includes(service)) {
    throw new Error(`NAME=${service}: there is no such service; there are ${services.join(', ')}`);
  }
  const stack = new Stack({
    service,
    environment: values.environment,
    faster: Number(values.faster),
    ports: await portsOf(service),
    grafana: true,
    replicas: Number(values.replicas),
    usual: Number(values.usual),
    onLine: (line) => console.log(line),
    onMessage: ({ channel, message }) => {
      if (channel === 'slack') console.log(readable(message));
    },
  });
  let ending;
  const stop = () => {
    ending ??= stack.end().then(() => process.exit());
    return ending;
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  try {
    await stack.start();
  } catch (error) {
    // What was interrupted is no mistake.
    if (!ending) console.error(error.message);
    process.exitCode = ending ? 0 : 1;
    return stop();
  }
  show(stack);
  restartOnChange(stack);
  const timer = setInterval(() => {
    if (ending || stack.broken.length === 0) return;
    console.error(stack.broken.join('\n'));
    clearInterval(timer);
  }, 1000);
}

await main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
