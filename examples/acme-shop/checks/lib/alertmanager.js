// Alertmanager's configuration. Run as a program (make lint-alertmanager), it lets amtool judge it, its
// templates, and who is told of what by monitoring/alertmanager/tests.yaml.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { command, read, root } from './repository.js';
import { milliseconds } from './rules.js';

export const CONFIG = 'monitoring/alertmanager/alertmanager.yaml';
const TESTS = 'monitoring/alertmanager/tests.yaml';
const TEMPLATES = 'monitoring/alertmanager/templates';
const MOUNTED = '/etc/alertmanager/config';

/** The Secret with what is secret, and the folder in which Alertmanager finds its keys as files. */
export const SECRET = 'alertmanager-notifications';
export const SECRETS = `/etc/alertmanager/secrets/${SECRET}`;

/** The shipped configuration, parsed. */
export const configuration = () => parse(read(CONFIG));

/**
 * The shipped configuration, as a text, for an Alertmanager that is not in a cluster. Nothing changes
 * but what is named here.
 * @param templates the folder with the templates.
 * @param secrets the folder with one file for each key of the Secret.
 * @param username what the pod would fill in for $(SMTP_USERNAME).
 * @param smarthost host:port of a mail server, which is spoken to without TLS.
 * @param faster divides every time.
 */
export function localAlertmanager({
  templates = join(root, TEMPLATES),
  secrets = SECRETS,
  username,
  smarthost,
  faster = 1,
} = {}) {
  let text = read(CONFIG)
    .replaceAll(`${MOUNTED}/`, `${templates}/`)
    .replaceAll(`${SECRETS}/`, `${secrets}/`);
  if (username) text = text.replaceAll('$(SMTP_USERNAME)', username);
  if (smarthost) {
    text = text
      .replace(/^( *smtp_smarthost:).*$/m, `$1 ${smarthost}`)
      .replace(/^( *smtp_require_tls:).*$/m, '$1 false');
  }
  if (faster === 1) return text;
  return text.replace(
    /^( *(?:group_wait|group_interval|repeat_interval):) (\S+)$/gm,
    (_, key, duration) => `${key} ${Math.ceil(milliseconds(duration) / faster)}ms`,
  );
}

/** A route and all below it. */
const routes = (route) => [route, ...(route.routes ?? []).flatMap(routes)];

/** The teams whose alerts have a route of their own. What is the platform's takes the first one. */
export function teams(config) {
  const named = routes(config.route)
    .flatMap(({ matchers }) => matchers ?? [])
    .flatMap((matcher) => /^team\s*=~?\s*"?([^"]+?)"?$/.exec(matcher)?.[1].split('|') ?? []);
  return [...named, 'platform'];
}

/** All texts of a configuration, with the path of each. */
function texts(value, path = []) {
  if (typeof value === 'string') return [[path, value]];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, inner]) => texts(inner, [...path, key]));
}

/** The files of the Secret and the variables that a configuration names. */
export function secretsOf(config) {
  const all = texts(config).map(([, text]) => text);
  const files = all
    .filter((text) => text.startsWith(`${SECRETS}/`))
    .map((text) => text.slice(SECRETS.length + 1));
  const variables = all.flatMap((text) =>
    [...text.matchAll(/\$\((\w+)\)/g)].map(([, name]) => name),
  );
  return { files: [...new Set(files)], variables: [...new Set(variables)] };
}

const ADDRESS = /^(?:[^<>,]*<)?[^\s@<>,]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+>?$/;
const CHANNEL = /^(#[\p{Ll}\p{N}_-]{1,80}|[CG][A-Z0-9]{8,}|@[\w.-]+)$/u;
const PLACEHOLDER = /replace-(me|this|with)|change-?me|<[a-z -]+>/i;
const IN_A_FILE =
  /^(slack_api_url|api_url|smtp_auth_password|auth_password|.*_key|.*token|password)$/;

/** One line for each thing in a configuration with which a message could not arrive. */
export function brokenSettings(config) {
  const found = [];
  for (const [path, text] of texts(config)) {
    const key = path.at(-1);
    const place = path.join('.');
    if (PLACEHOLDER.test(text)) {
      found.push(`${place} is ${text}, a placeholder: write what it stands for`);
    } else if (['to', 'from', 'smtp_from'].includes(key)) {
      for (const address of text.split(',').map((part) => part.trim())) {
        if (!ADDRESS.test(address)) {
          found.push(`${place} is ${text}: must be an email address, like oncall@example.com`);
        }
      }
    } else if (key === 'channel' && !CHANNEL.test(text)) {
      found.push(`${place} is ${text}: must be a Slack channel in lower case, like "#alerts"`);
    } else if (IN_A_FILE.test(key)) {
      found.push(
        `${place} is a secret: write ${key}_file: ${SECRETS}/KEY, and see docs/alerting.md`,
      );
    } else if (/_file$/.test(key) && !text.startsWith(`${SECRETS}/`)) {
      found.push(`${place} is ${text}: must be ${SECRETS}/KEY`);
    }
  }
  if (`${config.templates}` !== `${MOUNTED}/*.tmpl`) {
    found.push(`templates is ${config.templates}: must be ${MOUNTED}/*.tmpl`);
  }
  const used = routes(config.route).map(({ receiver }) => receiver);
  for (const { name } of config.receivers) {
    if (!used.includes(name)) {
      found.push(`receiver ${name} gets no alert: write a route with "receiver: ${name}"`);
    }
  }
  return found;
}

/** Runs amtool in a folder; what it says against something is an error. */
function amtool(cwd, args, what) {
  const { status, stdout, stderr, error } = spawnSync('amtool', args, { cwd, encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${what}:\n${stdout}${stderr}`.trim());
  return stdout.trim();
}

/** The templates that a configuration can name; those of our own use have other prefixes. */
const templateNames = () =>
  globSync(`${TEMPLATES}/*.tmpl`, { cwd: root }).flatMap((file) =>
    [...read(file).matchAll(/define "((?:email|slack)\.(?:default\.\w+|text))"/g)].map(
      ([, name]) => name,
    ),
  );

function main() {
  const folder = mkdtempSync(join(tmpdir(), 'alertmanager-'));
  try {
    const file = 'alertmanager.yaml';
    writeFileSync(join(folder, file), localAlertmanager());
    console.log(amtool(folder, ['check-config', file], CONFIG));
    const broken = brokenSettings(configuration());
    if (broken.length > 0) throw new Error(`${CONFIG}:\n  ${broken.join('\n  ')}`);
    for (const name of templateNames()) {
      const text = `--template.text={{ template "${name}" . }}`;
      const glob = `--template.glob=${join(root, TEMPLATES)}/*.tmpl`;
      amtool(folder, ['template', 'render', glob, text], `${TEMPLATES}: ${name}`);
    }
    const cases = parse(read(TESTS));
    for (const { what, alert, receivers } of cases) {
      const labels = Object.entries(alert).map(([name, value]) => `${name}=${value}`);
      const test = ['config', 'routes', 'test', `--config.file=${file}`];
      const found = amtool(folder, [...test, ...labels], `${TESTS}: ${what}`).split(/[\s,]+/);
      if (`${found}` !== `${receivers}`) {
        throw new Error(`${TESTS}: ${what}: goes to ${found}, and should go to ${receivers}`);
      }
    }
    console.log(`${cases.length} alerts go where ${TESTS} says`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) command(main);
