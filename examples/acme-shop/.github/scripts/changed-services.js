// Says which services have to be built: those that differ from what dev runs.
// Usage: changed-services.js [REF]
// REF is the branch whose release.yaml files say what dev runs (default: HEAD). It may be newer than
// the checkout: another run may have released in the meantime.
import { command, services } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';
import { differs, digestAt, git, sourceOf } from './lib/git.js';

/** Why a service has to be built; undefined when it has not. */
function reasonFor(service, ref) {
  const digest = digestAt(ref, service, 'dev');
  if (!digest) return 'has never been released';
  const source = sourceOf(ref, service, digest);
  if (!source) return `no commit says from which source ${digest} was built`;
  if (differs(service, source, 'HEAD')) return `has changed since ${source}`;
  return undefined;
}

function main() {
  const [ref = 'HEAD'] = process.argv.slice(2);
  git('rev-parse', '--verify', '--quiet', `${ref}^{commit}`);
  const changed = services.filter((service) => {
    const reason = reasonFor(service, ref);
    console.log(`${service}: ${reason ?? 'is what dev runs'}`);
    return reason;
  });
  output('services', changed);
}

command(main);
