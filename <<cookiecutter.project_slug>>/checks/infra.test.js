// Terraform repeats what stands elsewhere: versions, names, networks. And a README tells what its code has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environments } from './lib/facts.js';
import { argument, blocks, modules, readme, roots } from './lib/infra.js';
import { read } from './lib/repository.js';

const VERSIONS = 'infra/modules/environment/versions.tf';
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
  for (const file of [VERSIONS, ...roots.map((folder) => `${folder}/backend.tf`)]) {
    const least = /required_version = ">= ([\d.]+), < 2\.0\.0"/.exec(read(file))?.[1];
    assert.equal(least, pin, `${file}: required_version; mise.toml`);
  }
});
#% if cookiecutter.compute == 'auto-mode'


test("pods are allowed to the address of the cluster's DNS", () => {
  const main = read('infra/modules/environment/main.tf');
  const services = /service_cidr = "(.+)\.0\/\d+"/.exec(main)?.[1];
  const policy = 'deploy/policies/network/common/dns.yaml';
  assert.match(read(policy), new RegExp(`cidr: ${services}\\.10/32$`, 'm'), policy);
});
#% endif
