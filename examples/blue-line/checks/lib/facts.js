// The facts of each environment: deploy/environments/ENV/facts.yaml. Run as a program, it writes those
// that Terraform knows (make env-facts), or says which are still unknown (make bootstrap).
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse, parseDocument } from 'yaml';
import { command, read, root } from './repository.js';

/** The names of all environments: the folders of deploy/environments/. */
export const environments = readdirSync(join(root, 'deploy/environments'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

const octet = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)';

const addressOf = (program, port) => [
  /^https?:\/\/[a-z0-9.-]+(:\d+)?(\/[\w.~-]+)*$/,
  `the address at which people reach ${program}, with http:// or https:// and without / at the end`,
  `http://localhost:${port}`,
];

/** What each fact must be: a pattern, the rule in words, and an example. */
export const RULES = {
  environment: [/^[a-z][a-z0-9-]{0,19}$/, 'the name of the folder', 'dev'],
  cluster: [/^[a-z][a-z0-9-]{0,99}$/, 'the name of an EKS cluster', 'shop-dev'],
  gitRepository: [
    /^((https?|ssh|git):\/\/|git@)\S+$/,
    'the address of this repository, as Argo CD clones it',
    'https://github.com/acme/shop.git',
  ],
  region: [/^[a-z]{2}(-[a-z]+)+-\d$/, 'the code of an AWS region', 'eu-west-1'],
  registry: [
    /^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._/-]+)?$/,
    'the host of the container registry, without https:// and without / at the end',
    '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
  ],
  loadBalancerCidr: [
    new RegExp(`^(${octet}\\.){3}${octet}/(1[6-9]|2\\d)$`),
    'the network of the public subnets, from /16 to /29, in which load balancers have their addresses',
    '10.0.240.0/20',
  ],
  grafanaUrl: addressOf('Grafana', 3000),
  prometheusUrl: addressOf('Prometheus', 9090),
  alertmanagerUrl: addressOf('Alertmanager', 9093),
};

/** Values that belong to nobody, and stand where a fact is not known yet. */
const UNKNOWN = { registry: /^000000000000\./, loadBalancerCidr: /^192\.0\.2\./ };

const path = (environment) => `deploy/environments/${environment}/facts.yaml`;

/**
 * The facts of an environment.
 * @throws {Error} when there is no such environment.
 */
export function factsOf(environment) {
  if (!environments.includes(environment)) {
    const known = environments.join(', ');
    throw new Error(`ENV=${environment ?? ''}: there is no such environment; there are ${known}`);
  }
  return parse(read(path(environment))).global;
}

/** One line for each value that breaks its rule. */
export function brokenRules(facts) {
  return Object.entries(facts).flatMap(([name, value]) => {
    if (!RULES[name]) return `${name}: there is no such fact; facts are ${Object.keys(RULES)}`;
    const [pattern, words, example] = RULES[name];
    if (typeof value === 'string' && pattern.test(value)) return [];
    return `${name} = ${JSON.stringify(value)}: must be ${words}; for example ${example}`;
  });
}

/** The names of the facts that are not known yet. */
export function unknownFacts(facts) {
  return Object.keys(UNKNOWN).filter((name) => UNKNOWN[name].test(facts[name]));
}

/**
 * Writes facts into an environment's file, all or none.
 * @param changes values by name, as Terraform's output `environment_facts` holds them.
 * @returns one line for each value that has changed.
 */
export function writeFacts(environment, changes) {
  const before = factsOf(environment);
  const problems = brokenRules(changes);
  if (changes.environment && changes.environment !== environment) {
    problems.push(
      `environment = ${changes.environment}: these are not the facts of ${environment}`,
    );
  }
  if (problems.length > 0) {
    throw new Error(`${path(environment)} was not changed:\n  ${problems.join('\n  ')}`);
  }
  const changed = Object.keys(changes).filter((name) => changes[name] !== before[name]);
  if (changed.length === 0) return [];
  const document = parseDocument(read(path(environment)));
  for (const name of changed) document.setIn(['global', name], changes[name]);
  writeFileSync(join(root, path(environment)), document.toString({ lineWidth: 0 }));
  return changed.map((name) => `${name}: ${before[name]} -> ${changes[name]}`);
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { known: { type: 'boolean' }, get: { type: 'string' }, write: { type: 'string' } },
  });
  const [environment] = positionals;
  const facts = factsOf(environment);
  if (values.get) {
    console.log(facts[values.get]);
  } else if (values.write) {
    const changes = writeFacts(environment, JSON.parse(values.write));
    console.log(`${path(environment)}: ${changes.join(', ') || 'nothing has changed'}`);
  } else {
    const unknown = unknownFacts(facts);
    if (unknown.length === 0) return;
    throw new Error(
      `${path(environment)}: not known yet: ${unknown.join(', ')}. ` +
        `Run 'make env-facts ENV=${environment}' when Terraform has made the cluster, and commit the file.`,
    );
  }
}

if (import.meta.main) command(main);
