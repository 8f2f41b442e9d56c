// Sets the output `services`: the names of all services, for a matrix of jobs.
import { services } from '../../checks/lib/repository.js';
import { output } from './lib/actions.js';

output('services', services);
