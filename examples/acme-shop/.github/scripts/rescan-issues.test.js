// GitHub itself cannot run here: `gh` is testing/gh.js, which keeps labels and issues in a file. That the
// real gh has these commands and options, only the workflow shows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';

const here = import.meta.dirname;
const digest = (digit) => `sha256:${digit.repeat(64)}`;
const OLD = {
  service: 'orders',
  digest: digest('a'),
  reference: `ghcr.io/acme/shop/orders@${digest('a')}`,
  environments: ['dev', 'staging'],
  name: 'orders-aaaaaaaaaaaa',
};
const NEW = { ...OLD, digest: digest('b'), environments: ['dev'], name: 'orders-bbbbbbbbbbbb' };
const CARTS = { ...OLD, service: 'carts', digest: digest('c'), name: 'carts-cccccccccccc' };
const FINDING = {
  id: 'CVE-2026-1',
  severity: 'HIGH',
  where: '@acme/glob 1.0.0',
  remedy: 'update to 1.0.1',
};

let scratch;
let state;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'issues-'));
  state = join(scratch, 'state.json');
  writeFileSync(state, JSON.stringify({ labels: [], issues: [], calls: [] }));
  const program = `#!/bin/sh\nexec "${process.execPath}" "${here}/testing/gh.js" "$@"\n`;
  writeFileSync(join(scratch, 'gh'), program, { mode: 0o755 });
});

afterEach(() => rmSync(scratch, { recursive: true }));

const read = () => JSON.parse(readFileSync(state, 'utf8'));

/** Runs the script after a scan: `findings` has a list for each image that could be scanned. */
function rescan(images, findings) {
  const reports = mkdtempSync(join(scratch, 'reports-'));
  for (const [name, found] of Object.entries(findings)) {
    mkdirSync(join(reports, `findings-${name}`));
    // Both platforms have what one has.
    const results = ['linux/amd64', 'linux/arm64'].map((platform) => ({
      platform,
      findings: found,
    }));
    const file = join(reports, `findings-${name}`, 'findings.json');
    writeFileSync(file, JSON.stringify({ name, results }));
  }
  writeFileSync(state, JSON.stringify({ ...read(), calls: [] }));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(here, 'rescan-issues.js'), reports],
    {
      encoding: 'utf8',
      env: {
        PATH: `${scratch}${delimiter}${process.env.PATH}`,
        GH_STATE: state,
        IMAGES: JSON.stringify(images),
      },
    },
  );
  assert.equal(status, 0, stderr);
  return stdout.trim().split('\n');
}

const changes = () => read().calls.filter((call) => !/^(label create|issue list)$/.test(call));

test('a finding opens one issue for its service, and tells what, where and what to do', () => {
  const said = rescan([OLD, CARTS], { [OLD.name]: [FINDING], [CARTS.name]: [] });
  assert.deepEqual(said, ['carts: none', 'orders: opened']);
  const [issue, ...others] = read().issues;
  assert.deepEqual(others, []);
  assert.equal(issue.title, 'orders: findings in images that run');
  assert.deepEqual(issue.labels, ['rescan']);
  for (const part of ['CVE-2026-1', 'update to 1.0.1', OLD.reference, 'dev, staging']) {
    assert.ok(issue.body.includes(part), `the issue does not tell ${part}:\n${issue.body}`);
  }
  assert.equal(issue.body.split('CVE-2026-1').length, 2, 'one line for both platforms');
  assert.ok(issue.body.includes('`@acme/glob 1.0.0`'), 'a name must call nobody');
});

test('the same findings change nothing', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  assert.deepEqual(rescan([OLD], { [OLD.name]: [FINDING] }), ['orders: still open']);
  assert.deepEqual(changes(), []);
});

test('other findings edit the issue', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  const other = { ...FINDING, id: 'CVE-2026-2' };
  assert.deepEqual(rescan([OLD], { [OLD.name]: [other] }), ['orders: edited']);
  const [{ body }, ...others] = read().issues;
  assert.ok(body.includes('CVE-2026-2') && !body.includes('CVE-2026-1'));
  assert.deepEqual(others, []);
});

test('a title that somebody has changed does not make a second issue', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  const changed = read();
  changed.issues[0].title = 'orders is broken';
  writeFileSync(state, JSON.stringify(changed));
  assert.deepEqual(rescan([OLD], { [OLD.name]: [FINDING] }), ['orders: edited']);
  assert.equal(read().issues.length, 1);
});

test('an update in one environment leaves the issue open for the others', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  const images = [NEW, { ...OLD, environments: ['staging'] }];
  rescan(images, { [NEW.name]: [], [OLD.name]: [FINDING] });
  const [issue] = read().issues;
  assert.equal(issue.state, 'OPEN');
  assert.match(issue.body, /runs in staging:/);
  assert.match(issue.body, /runs in dev: nothing to mend/);
});

test('nothing left closes the issue with a reason; a new finding opens it again', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  assert.deepEqual(rescan([NEW], { [NEW.name]: [] }), ['orders: closed']);
  assert.match(read().issues[0].comments[0], /Nothing is left/);
  assert.deepEqual(rescan([NEW], { [NEW.name]: [] }), ['orders: none']);
  assert.deepEqual(changes(), []);
  assert.deepEqual(rescan([NEW], { [NEW.name]: [FINDING] }), ['orders: opened again']);
  assert.equal(read().issues.length, 1);
});

test('an image that could not be scanned proves nothing', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  const said = rescan([OLD], {});
  assert.deepEqual(said, ['orders: left as it is: not everything was scanned']);
  assert.equal(read().issues[0].state, 'OPEN');
});

test('a service that runs nowhere any more has no open issue', () => {
  rescan([OLD], { [OLD.name]: [FINDING] });
  assert.deepEqual(rescan([], {}), ['orders: closed']);
  assert.match(read().issues[0].comments[0], /No environment runs/);
});

test('issues of people are left alone', () => {
  const theirs = { number: 1, state: 'OPEN', title: 'Hello', body: '', labels: ['rescan'] };
  writeFileSync(state, JSON.stringify({ ...read(), labels: ['rescan'], issues: [theirs] }));
  rescan([OLD], { [OLD.name]: [] });
  assert.deepEqual(read().issues, [theirs]);
});

test('more findings than an issue can hold are counted', () => {
  const many = Array.from({ length: 900 }, (_, index) => ({ ...FINDING, id: `CVE-2026-${index}` }));
  rescan([OLD], { [OLD.name]: many });
  const { body } = read().issues[0];
  assert.ok(body.length < 65_536, `${body.length} characters`);
  assert.match(body, /and 700 more/);
});

test('a failure of gh fails the script, with its message', () => {
  writeFileSync(join(scratch, 'gh'), '#!/bin/sh\necho HTTP 403: forbidden >&2\nexit 1\n');
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(here, 'rescan-issues.js'), scratch],
    {
      encoding: 'utf8',
      env: { PATH: `${scratch}${delimiter}${process.env.PATH}`, IMAGES: '[]' },
    },
  );
  assert.equal(status, 1);
  assert.match(stderr, /HTTP 403/);
});
