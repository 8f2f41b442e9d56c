// The Prometheus rules inside this repository's PrometheusRule objects. Run as a program, it prints
// them in the format that promtool reads.
import { globSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { read, root } from './repository.js';

/** All rule groups of monitoring/rules/, in the order of their files' names. */
export function ruleGroups() {
  return globSync('monitoring/rules/*.yaml', { cwd: root })
    .sort()
    .flatMap((file) => parse(read(file)).spec.groups);
}

if (import.meta.main) {
  process.stdout.write(stringify({ groups: ruleGroups() }));
}
