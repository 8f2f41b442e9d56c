// Terraform repeats what stands elsewhere: versions, names, networks. And a README tells what its code has.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { environments, factsOf } from './lib/facts.js';
import { argument, blocks, modules, readme, roots } from './lib/infra.js';
import { read, root } from './lib/repository.js';

const VERSIONS = 'infra/modules/environment/versions.tf';
const OF_BOOTSTRAP = 'infra/bootstrap/versions.tf';
const ENVIRONMENT = 'infra/modules/environment/main.tf';
const BOOTSTRAP = 'infra/bootstrap/main.tf';
const kubernetes = /^ {2}kubernetes_version = "(.+)"$/m.exec(read(VERSIONS))?.[1];

for (const folder of modules) {
  test(`${folder}/README.md has the tables of its code`, () => {
    assert.equal(read(`${folder}/README.md`), readme(folder), `run 'make infra-docs'`);
  });

  test(`${folder} says of what type each input is, and what each output`, () => {
    for (const [name, body] of blocks(`${folder}/variables.tf`, 'variable')) {
      assert.ok(argument(body, 'type'), `${folder}: variable ${name} has no type`);
      assert.ok(argument(body, 'description'), `${folder}: variable ${name} has no description`);
    }
    for (const [name, body] of blocks(`${folder}/outputs.tf`, 'output')) {
      assert.ok(argument(body, 'description'), `${folder}: output ${name} has no description`);
    }
  });
}

test('Terraform makes each environment, and no other', () => {
  const made = roots.map((folder) => folder.split('/').at(-1));
  assert.deepEqual(made, environments.toSorted(), 'infra/envs and deploy/environments');
  for (const folder of roots) {
    const name = folder.split('/').at(-1);
    const main = read(`${folder}/main.tf`);
    assert.match(main, new RegExp(`^  environment += "${name}"$`, 'm'), folder);
    assert.match(
      read(`${folder}/backend.tf`),
      new RegExp(`^    key += "${name}/terraform.tfstate"$`, 'm'),
      `${folder}/backend.tf: each environment has a state of its own, ${name}/terraform.tfstate`,
    );
  }
});

test('no two environments share addresses', () => {
  const networks = roots.map((folder) => {
    const cidr = /^ {2}cidr += "(.+)"$/m.exec(read(`${folder}/main.tf`))?.[1] ?? '';
    const [address, size] = cidr.split('/');
    const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    return { folder, cidr, first: number, last: number + 2 ** (32 - Number(size)) - 1 };
  });
  for (const [index, one] of networks.entries()) {
    for (const other of networks.slice(index + 1)) {
      assert.ok(
        one.last < other.first || other.last < one.first,
        `${one.folder} has ${one.cidr} and ${other.folder} ${other.cidr}: write networks apart`,
      );
    }
  }
});

test('Kubernetes has one version', () => {
  const minor = (version) => version?.split('.').slice(0, 2).join('.');
  const kubectl = /kubectl" = "([^"]+)"/.exec(read('mise.toml'))?.[1];
  const schemas = /^KUBERNETES := (.+)$/m.exec(read('Makefile'))?.[1];
  assert.equal(minor(kubectl), kubernetes, `mise.toml: kubectl; ${VERSIONS}`);
  assert.equal(minor(schemas), kubernetes, `Makefile: KUBERNETES; ${VERSIONS}`);
});

test('AWS still supports that version of Kubernetes', () => {
  const end = new RegExp(`^    "${kubernetes}" = "(.+)"$`, 'm').exec(read(VERSIONS))?.[1];
  assert.ok(end, `${VERSIONS}: supported_versions has no ${kubernetes}`);
  const left = (Date.parse(end) - Date.now()) / 86_400_000;
  assert.ok(left > 0, `${VERSIONS}: support for ${kubernetes} ended on ${end}; upgrade`);
});

test('Terraform has one version', () => {
  const pin = /hashicorp\/terraform" = "([^"]+)"/.exec(read('mise.toml'))?.[1];
  const backends = roots.map((folder) => `${folder}/backend.tf`);
  for (const file of [VERSIONS, OF_BOOTSTRAP, ...backends]) {
    const least = /required_version = ">= ([\d.]+), < 2\.0\.0"/.exec(read(file))?.[1];
    assert.equal(least, pin, `${file}: required_version; mise.toml`);
  }
});

test('the provider has one version', () => {
  const pin = (file) => /version = "(\d[^"]+)"\n/.exec(read(file))?.[1];
  assert.equal(pin(OF_BOOTSTRAP), pin(VERSIONS), `${OF_BOOTSTRAP}; ${VERSIONS}`);
});

// ---------------------------------------------------------------------------- names

const project = /^ {2}project += "(.+)"$/m.exec(read(ENVIRONMENT))?.[1];
const setting = (file, name) =>
  new RegExp(`^ *${name} *= ?"?([^"\\n]+)"?$`, 'm').exec(read(file))?.[1];

test('names begin with the same project everywhere', () => {
  assert.equal(setting(BOOTSTRAP, 'project'), project, `${BOOTSTRAP}; ${ENVIRONMENT}`);
  assert.equal(setting('infra/bootstrap.sh', 'project'), project, 'infra/bootstrap.sh');
  for (const environment of environments) {
    const facts = factsOf(environment);
    const place = `deploy/environments/${environment}/facts.yaml`;
    assert.equal(facts.cluster, `${project}-${environment}`, `${place}: cluster`);
    const repository = /github\.com\/([^/]+)\/(.+)\.git$/.exec(facts.gitRepository) ?? [];
    const variables = Object.fromEntries(blocks('infra/bootstrap/variables.tf', 'variable'));
    const [owner, name] = ['github_owner', 'github_repository'].map((variable) =>
      argument(variables[variable], 'default').replaceAll('"', ''),
    );
    assert.deepEqual([owner, name], repository.slice(1), `${place}: gitRepository; bootstrap`);
  }
});

test('all of AWS is in one region', () => {
  const { region } = factsOf(environments[0]);
  const files = [...roots, 'infra/bootstrap'].flatMap((folder) => [
    `${folder}/main.tf`,
    `${folder}/backend.tf`,
  ]);
  for (const file of [...files, 'infra/bootstrap.sh']) {
    assert.equal(setting(file, 'region'), region, file);
  }
});

test('what an environment makes has the tags by which its role may change it', () => {
  for (const folder of roots) {
    const main = read(`${folder}/main.tf`);
    const tags = /default_tags \{\n {4}tags = \{\n(.*?)\n {4}\}/s.exec(main)?.[1];
    const found = [...tags.matchAll(/(\w+) += "(.+)"/g)].map((match) => match.slice(1));
    const wanted = { project, environment: folder.split('/').at(-1) };
    assert.deepEqual(Object.fromEntries(found), wanted, `${folder}/main.tf: default_tags`);
  }
});

test('every role has the boundary without which it could not be made', () => {
  assert.match(read(ENVIRONMENT), /^ {2}name += "\$\{local\.project\}-\$\{var\.environment\}"$/m);
  assert.match(read(ENVIRONMENT), /:policy\/\$\{local\.name\}-boundary"$/m, ENVIRONMENT);
  assert.match(read(BOOTSTRAP), /:policy\/\$\{local\.project\}-\$\{name\}-boundary" \}$/m);
  for (const file of globSync('infra/{modules/*,bootstrap,envs/*}/*.tf', { cwd: root })) {
    for (const [role] of read(file).matchAll(/^resource "aws_iam_role" .*?^\}/gms)) {
      assert.match(role, /^ {2}permissions_boundary = var\.permissions_boundary_arn$/m, file);
    }
  }
});

test('roles may be given exactly those policies of AWS that they are given', () => {
  const given = globSync('infra/modules/{network,cluster,nodes}/*.tf', { cwd: root })
    .flatMap((file) => [...read(file).matchAll(/(service-role\/)?\bAmazonE\w+/g)])
    .map(([policy]) => policy)
    // Those of the Kubernetes API.
    .filter((policy) => !/^AmazonEKS(ClusterAdmin|Admin|AdminView|Edit|View)Policy$/.test(policy));
  const permissions = 'infra/bootstrap/permissions.tf';
  const list = /aws_policies = \[\n(.*?)\n {2}\]/s.exec(read(permissions))?.[1];
  const allowed = [...list.matchAll(/"(.+)"/g)].map((match) => match[1]);
  assert.deepEqual(allowed, [...new Set(given)].sort(), `${permissions}: aws_policies`);
});

test('secrets are those that External Secrets may read', () => {
  const resource = /:secret:\$\{local\.project\}\/\$\{var\.environment\}\/\*"/;
  assert.match(read(ENVIRONMENT), resource, ENVIRONMENT);
  const files = globSync('deploy/platform-config/base/*.yaml', { cwd: root });
  const keys = files.flatMap((file) => [...read(file).matchAll(/^ +key: (.+)$/gm)]);
  assert.ok(keys.length > 0);
  // deploy/components/facts writes the environment's name.
  for (const [, key] of keys) assert.ok(key.startsWith(`${project}/environment/`), key);
});

test('pods that have a role in AWS run where it expects them', () => {
  const main = read(ENVIRONMENT);
  const found = [...main.matchAll(/namespace += "([^"]+)",?\s+service_account += "?([\w.-]+)/g)];
  const accounts = found.map(([, namespace, account]) => `${namespace}/${account}`);
  const namespaceOf = (part) =>
    /^ {2}namespace: (.+)$/m.exec(read(`deploy/platform/${part}/Chart.yaml`))?.[1];
  const apps = /^ {8}namespace: (.+)$/m.exec(read('deploy/argocd/base/apps.yaml'))?.[1];
  assert.deepEqual(accounts, [
    `${namespaceOf('external-secrets')}/external-secrets`,
#% if cookiecutter.container_registry == 'ecr'
    `${namespaceOf('kyverno')}/kyverno-admission-controller`,
    `${namespaceOf('kyverno')}/kyverno-reports-controller`,
#% endif
    // Its name; deploy.test.js compares that with manifests.
    `${apps}/service`,
  ]);
});
#% if cookiecutter.container_registry == 'ecr'

test('each service has the repository that its images are pushed to', () => {
  const registry = 'infra/bootstrap/registry.tf';
  assert.match(read(registry), /"\$\{local\.project\}\/\$\{service\}"/, registry);
  const images = '.github/scripts/lib/registry.js';
  const name = new RegExp(`/${project}/\\$\\{service\\}`);
  assert.match(read(images), name, `${images}: imageName`);
});

test('old images go by the tags of releases, and signatures have none of these', () => {
  const rules = 'infra/modules/registry/main.tf';
  const patterns = [...read(rules).matchAll(/tagPatternList = (.+)$/gm)].map(([, list]) => list);
  const only = 'write ["release-*"]: signatures and SBOMs have tags too, and stay';
  assert.deepEqual([...new Set(patterns)], ['["release-*"]'], `${rules}: tagPatternList: ${only}`);
  const publish = '.github/scripts/publish.js';
  const why = `its tags must begin with release-: by that ${rules} knows images that may go`;
  assert.match(read(publish), /`\$\{image\}:release-/, `${publish}: ${why}`);
});
#% endif
#% if cookiecutter.compute == 'auto-mode'


test("pods are allowed to the address of the cluster's DNS", () => {
  const main = read('infra/modules/environment/main.tf');
  const services = /service_cidr = "(.+)\.0\/\d+"/.exec(main)?.[1];
  const policy = 'deploy/policies/network/common/dns.yaml';
  assert.match(read(policy), new RegExp(`cidr: ${services}\\.10/32$`, 'm'), policy);
});
#% endif
