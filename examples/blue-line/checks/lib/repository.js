// Where things are in this repository.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The repository's root folder. */
export const root = resolve(import.meta.dirname, '../..');

/**
 * The names of all services: the folders of services/ with a package.json. Another branch may have left
 * the dependencies of a service that is not here.
 */
export const services = readdirSync(join(root, 'services')).filter((name) =>
  existsSync(join(root, 'services', name, 'package.json')),
);

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
