// What deploy/ says of a service agrees with the service, and its parts with each other. Judged is
// what Argo CD would apply, in every environment.
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { brokenRules, environments, factsOf } from './lib/facts.js';
import { flows } from './lib/flows.js';
import { apps, digestOf, objectsOf, render } from './lib/render.js';
import { NO_DIGEST, read, root, services } from './lib/repository.js';

// How long an ALB whose targets are pods may send requests to one that is to go: 5 s of patience lost
// some, 25 s none (issue 1064 of kubernetes-sigs/aws-load-balancer-controller).
const LOAD_BALANCER_MS = 25_000;

const rendered = new Map(
  environments.map((environment) => [
    environment,
    render(environment).map((part) => ({ ...part, objects: objectsOf(part.text) })),
  ]),
);
const all = (environment) => rendered.get(environment).flatMap(({ objects }) => objects);
const named = (objects, kind, name) =>
  objects.find((object) => object.kind === kind && (!name || object.metadata.name === name));
const workloadOf = (objects) => objects.find(({ kind }) => /^(Deployment|Rollout)$/.test(kind));
const covers = (labels, selector) =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

test('every service is deployed, and nothing else', () => {
  assert.deepEqual(apps, services, 'the folders of deploy/apps/ must be those of services/');
});

for (const environment of environments) {
  const facts = factsOf(environment);
  const objects = all(environment);

  test(`deploy/environments/${environment}/facts.yaml holds facts of ${environment}`, () => {
    assert.deepEqual(brokenRules(facts), []);
    assert.equal(facts.environment, environment, 'environment must be the name of the folder');
    const region = /^AWS_REGION = "(.+)"$/m.exec(read('mise.toml'))?.[1];
    assert.equal(facts.region, region, 'region must be the AWS_REGION of mise.toml');
  });

  test(`in ${environment}, Argo CD reads the files of ${environment} alone`, () => {
    const texts = rendered.get(environment).map(({ source, text }) => [source, text]);
    for (const [source, text] of texts.filter(([place]) => place.includes('argocd'))) {
      for (const [path, , name] of text.matchAll(/\S+\/(overlays|environments)\/([\w-]+)\S*/g)) {
        assert.equal(name, environment, `${source}: ${path}`);
      }
    }
  });

  test(`in ${environment}, every value from the facts is filled in`, () => {
    for (const { source, text } of rendered.get(environment)) {
      const left = /^.*(from-facts|registry\.invalid).*$/m.exec(text)?.[0].trim();
      assert.equal(left, undefined, `${source}: ${left}; see deploy/components/facts`);
    }
  });

  test(`in ${environment}, every namespace of ours denies what no policy allows`, () => {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
    for (const namespace of objects.filter(({ kind }) => kind === 'Namespace')) {
      const { name, labels } = namespace.metadata;
      const denial = policies.find(
        ({ metadata, spec }) =>
          metadata.namespace === name &&
          Object.keys(spec.podSelector).length === 0 &&
          !spec.ingress &&
          !spec.egress,
      );
      assert.ok(denial, `namespace ${name} has no default-deny; see deploy/policies/network`);
      assert.ok(labels['pod-security.kubernetes.io/enforce'], `${name} has no Pod Security level`);
    }
    for (const { metadata, spec } of policies) {
      assert.deepEqual(
        [...spec.policyTypes].sort(),
        ['Egress', 'Ingress'],
        `NetworkPolicy ${metadata.namespace}/${metadata.name} must declare both policy types`,
      );
      const namespace = named(objects, 'Namespace', metadata.namespace);
      assert.ok(namespace, `NetworkPolicy ${metadata.name}: no namespace ${metadata.namespace}`);
    }
  });

  test(`in ${environment}, the quota has room for all services during a release`, () => {
    const scalers = objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    // A pod more of each, as when all are released at once.
    const pods = scalers.reduce((sum, { spec }) => sum + spec.minReplicas + 1, 0);
    const quota = Number(named(objects, 'ResourceQuota', 'ceiling').spec.hard.pods);
    assert.ok(
      pods <= quota,
      `${scalers.length} services need ${pods} pods; deploy/policies/namespaces/apps.yaml allows ${quota}`,
    );
  });

  test(`in ${environment}, the projects allow what the Applications hold`, () => {
    const projects = objects.filter(({ kind }) => kind === 'AppProject');
    const destinations = (name) =>
      named(projects, 'AppProject', name).spec.destinations.map(({ namespace }) => namespace);
    const namespaces = objects.filter(({ kind }) => kind === 'Namespace');
    for (const { metadata } of namespaces) {
      assert.ok(
        destinations('platform').includes(metadata.name),
        `project platform: ${metadata.name}`,
      );
    }
    assert.deepEqual(destinations('apps'), ['apps'], 'services stay in their namespace');
    for (const { app, source, objects: held } of rendered.get(environment)) {
      const { spec } = named(projects, 'AppProject', app ? 'apps' : 'platform');
      for (const { apiVersion, kind, metadata } of held) {
        const group = apiVersion.includes('/') ? apiVersion.split('/')[0] : '';
        const list = metadata.namespace ? 'namespaceResourceWhitelist' : 'clusterResourceWhitelist';
        const allowed = spec[list].some(
          (entry) => [group, '*'].includes(entry.group) && [kind, '*'].includes(entry.kind),
        );
        assert.ok(
          allowed,
          `${source}: ${kind} is not in ${list} of deploy/argocd/base/projects.yaml`,
        );
        const home = metadata.namespace;
        const known = !home || destinations(app ? 'apps' : 'platform').includes(home);
        assert.ok(
          known,
          `${source}: ${kind} ${metadata.name} is in ${home}, which is no destination`,
        );
      }
    }
  });
}

test('the ApplicationSet leaves out what has the digest of zeros', () => {
  const set = named(all(environments[0]), 'ApplicationSet', 'apps');
  const [{ key, operator, values }] = set.spec.generators[0].selector.matchExpressions;
  assert.deepEqual(
    { key, operator, values },
    { key: 'image.digest', operator: 'NotIn', values: [NO_DIGEST] },
  );
});

for (const service of apps) {
  const { ConfigSchema, loadConfig } = await import(`../services/${service}/src/config.ts`);
  const ports = {
    http: ConfigSchema.properties.HTTP_PORT.default,
    metrics: ConfigSchema.properties.METRICS_PORT.default,
  };

  for (const environment of environments) {
    const place = `deploy/apps/${service}, ${environment}`;
    const { objects } = rendered.get(environment).find(({ app }) => app === service);
    const workload = workloadOf(objects);
    const pod = workload.spec.template;
    const container = pod.spec.containers.find(({ name }) => name === 'service');
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));

    test(`${place}: names, labels and selectors agree`, () => {
      for (const { kind, metadata } of objects) {
        assert.equal(metadata.name, service, `${kind} ${metadata.name} must be named ${service}`);
        assert.equal(metadata.namespace, 'apps', `${kind} is in ${metadata.namespace}`);
        assert.equal(metadata.labels['app.kubernetes.io/name'], service, `${kind}, label name`);
      }
      const selectors = {
        workload: workload.spec.selector.matchLabels,
        Service: named(objects, 'Service').spec.selector,
        PodDisruptionBudget: named(objects, 'PodDisruptionBudget').spec.selector.matchLabels,
        ...Object.fromEntries(
          pod.spec.topologySpreadConstraints.map((spread) => [
            `spread over ${spread.topologyKey}`,
            spread.labelSelector.matchLabels,
          ]),
        ),
      };
      for (const [what, selector] of Object.entries(selectors)) {
        const shown = JSON.stringify(selector);
        assert.ok(covers(pod.metadata.labels, selector), `${what} selects ${shown}: not its pods`);
        assert.ok(
          selector['app.kubernetes.io/name'],
          `${what} selects ${shown}: also other services`,
        );
      }
      const monitor = named(objects, 'ServiceMonitor').spec.selector.matchLabels;
      assert.ok(
        covers(named(objects, 'Service').metadata.labels, monitor),
        'ServiceMonitor: no Service',
      );
      assert.ok(
        named(objects, 'ServiceMonitor').spec.targetLabels?.includes('team'),
        'ServiceMonitor: targetLabels must hold team, which the Service has',
      );
      const target = named(objects, 'HorizontalPodAutoscaler').spec.scaleTargetRef;
      assert.deepEqual([target.kind, target.name], [workload.kind, service], 'scaleTargetRef');
      const account = named(objects, 'ServiceAccount').metadata.name;
      assert.equal(pod.spec.serviceAccountName, account, 'serviceAccountName');
    });

    test(`${place}: ports are those of the service, and are referred to by name`, () => {
      const found = Object.fromEntries(
        container.ports.map(({ name, containerPort }) => [name, containerPort]),
      );
      assert.deepEqual(found, ports, `ports must be those of services/${service}/src/config.ts`);
      const exposed = named(objects, 'Service').spec.ports;
      assert.deepEqual(exposed.map(({ targetPort }) => targetPort).sort(), ['http', 'metrics']);
      for (const { port } of named(objects, 'ServiceMonitor').spec.endpoints) {
        assert.ok(
          exposed.some(({ name }) => name === port),
          `ServiceMonitor: no port ${port}`,
        );
      }
      for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
        assert.equal(container[probe]?.httpGet?.port, 'http', `${probe} must ask port http`);
      }
    });

    test(`${place}: Prometheus may reach the ports that it is to ask, and no others`, () => {
      const exposed = named(objects, 'Service').spec.ports;
      const asked = named(objects, 'ServiceMonitor').spec.endpoints.map(
        ({ port }) => exposed.find(({ name }) => name === port)?.targetPort,
      );
      const open = all(environment)
        .filter(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.namespace === 'apps')
        .filter(({ spec }) => covers(pod.metadata.labels, spec.podSelector.matchLabels ?? {}))
        .flatMap(({ spec }) => spec.ingress ?? [])
        .filter(({ from }) =>
          from.some(
            ({ namespaceSelector, podSelector }) =>
              namespaceSelector?.matchLabels['kubernetes.io/metadata.name'] === 'monitoring' &&
              podSelector?.matchLabels['app.kubernetes.io/name'] === 'prometheus',
          ),
        )
        .flatMap((rule) => rule.ports.map(({ port }) => port));
      const remedy = 'see deploy/policies/network/apps/from-prometheus.yaml';
      assert.deepEqual(open, asked, `Prometheus asks ${asked}, but may reach ${open}; ${remedy}`);
    });

    test(`${place}: the service starts with these variables, and stops in the time that it gets`, () => {
      assert.equal(env.ENVIRONMENT, environment);
      for (const name of Object.keys(env)) {
        assert.ok(ConfigSchema.properties[name], `${name}: ${service} reads no such variable`);
      }
      const config = loadConfig(env);
      const stop = (config.SHUTDOWN_DRAIN_MS + config.SHUTDOWN_TIMEOUT_MS) / 1000;
      const grace = pod.spec.terminationGracePeriodSeconds;
      assert.ok(
        grace > stop,
        `terminationGracePeriodSeconds is ${grace}; stopping takes ${stop} s`,
      );
      if (pod.metadata.labels['network/from-load-balancer'] === 'allowed') {
        assert.ok(
          config.SHUTDOWN_DRAIN_MS >= LOAD_BALANCER_MS,
          `SHUTDOWN_DRAIN_MS is ${config.SHUTDOWN_DRAIN_MS}; a load balancer may send for ${LOAD_BALANCER_MS} ms`,
        );
      }
      const { failureThreshold } = container.readinessProbe;
      assert.ok(
        failureThreshold > 1,
        `readinessProbe: failureThreshold is ${failureThreshold}, so one late answer takes a pod out`,
      );
    });

    test(`${place}: the image is the released one, from the registry of the facts`, () => {
      const { registry } = factsOf(environment);
      const image = container.image;
      const digest = digestOf(service, environment);
      assert.match(digest, /^sha256:[0-9a-f]{64}$/, `release.yaml: image.digest is ${digest}`);
      assert.ok(image.startsWith(`${registry}/`), `${image} is not in ${registry}`);
      assert.ok(image.endsWith(`/${service}@${digest}`), `${image} is not ${service}@${digest}`);
      const { prefix } = named(all(environment), 'ConfigMap', 'image-registry').data;
      assert.ok(image.startsWith(prefix), `${image}: admission asks for ${prefix}`);
    });

    test(`${place}: it survives the loss of a pod, and its memory is its own`, () => {
      const { minReplicas, maxReplicas } = named(objects, 'HorizontalPodAutoscaler').spec;
      assert.ok(
        minReplicas >= 2,
        `minReplicas is ${minReplicas}: one pod is none during a restart`,
      );
      assert.ok(maxReplicas >= minReplicas, `maxReplicas ${maxReplicas} is below ${minReplicas}`);
      assert.equal(
        workload.spec.replicas,
        undefined,
        'replicas belong to the HorizontalPodAutoscaler',
      );
      const { requests, limits } = container.resources;
      assert.equal(limits?.memory, requests?.memory, 'memory: limit and request must be the same');
      const rolling = workload.spec.strategy.rollingUpdate ?? workload.spec.strategy.canary;
      assert.equal(rolling.maxUnavailable, 0, 'maxUnavailable must be 0');
    });
  }
}

test('a flow is between services that are here', () => {
  for (const { file, name, services: selected } of flows()) {
    const unknown = selected.filter((service) => !services.includes(service));
    assert.deepEqual(unknown, [], `${file}: ${name} selects ${unknown}, which is no service`);
  }
});

for (const file of globSync('deploy/platform/*/Chart.yaml', { cwd: root })) {
  test(`${file} pins one chart and names its namespace`, () => {
    const { annotations, dependencies } = parse(read(file));
    assert.equal(dependencies.length, 1, `${file}: one dependency`);
    const [{ name, version, repository }] = dependencies;
    assert.match(version, /^v?\d+\.\d+\.\d+$/, `${file}: ${name} ${version} is no exact version`);
    const { sourceRepos } = named(all(environments[0]), 'AppProject', 'platform').spec;
    assert.ok(
      sourceRepos.includes(repository),
      `${file}: ${repository} is not in sourceRepos of deploy/argocd/base/projects.yaml`,
    );
    const own = existsSync(join(root, `deploy/policies/namespaces/${annotations.namespace}.yaml`));
    assert.ok(own || annotations.namespace === 'kube-system', `${file}: ${annotations.namespace}`);
    const values = Object.keys(parse(read(file.replace('Chart', 'values'))) ?? {});
    assert.deepEqual(
      values,
      [name],
      `${file.replace('Chart', 'values')}: values stand below ${name}`,
    );
  });
}
