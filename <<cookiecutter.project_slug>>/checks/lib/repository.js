// Where things are in this repository.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The repository's root folder. */
export const root = resolve(import.meta.dirname, '../..');

/** The names of all services: the folders of services/. */
export const services = readdirSync(join(root, 'services'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

/** The text of a file, by its path from the root. */
export const read = (...path) => readFileSync(join(root, ...path), 'utf8');

/** The digest that stands for "nothing has been released here". */
export const NO_DIGEST = `sha256:${'0'.repeat(64)}`;

/** The file that says which image of a service an environment runs. */
export const releaseFile = (service, environment) =>
  `deploy/apps/${service}/overlays/${environment}/release.yaml`;

/** Runs the main function of a program. What it throws is a message for people, and exit code 1. */
export function command(main) {
  try {
    main();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
