// The connections that deploy/flows/ allows.
import { globSync } from 'node:fs';
import { objectsOf } from './render.js';
import { read, root } from './repository.js';

const NAME = 'app.kubernetes.io/name';

/** Each NetworkPolicy of deploy/flows/: its file, its name, and the services that it selects. */
export function flows() {
  const files = globSync('deploy/flows/*.{yaml,yml}', { cwd: root }).sort();
  return files.flatMap((file) =>
    objectsOf(read(file)).map(({ metadata, spec }) => {
      const peers = [
        ...(spec.ingress ?? []).flatMap((rule) => rule.from ?? []),
        ...(spec.egress ?? []).flatMap((rule) => rule.to ?? []),
      ];
      const selectors = [spec, ...peers].map(({ podSelector }) => podSelector?.matchLabels?.[NAME]);
      return { file, name: metadata.name, services: [...new Set(selectors.filter(Boolean))] };
    }),
  );
}
