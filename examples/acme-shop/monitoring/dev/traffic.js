// Steady requests to the pods of a stack.
import { Agent, request } from 'node:http';
import { HOST } from './processes.js';

const TICK_MS = 25;
const TIMEOUT_MS = 30_000;
const GOOD = '/faults/status/200';

/** Sends a request; what becomes of it shows in the metrics. */
export function send(pod, path, { method = 'GET', agent } = {}) {
  const options = { host: HOST, port: pod.ports.HTTP_PORT, method, path, agent };
  return new Promise((resolve) => {
    const sent = request({ ...options, timeout: TIMEOUT_MS }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    sent.on('timeout', () => sent.destroy()).on('error', () => resolve());
    sent.end();
  });
}

export class Traffic {
  #bad = { path: GOOD, share: 0 };
  #due = 0;
  #sent = 0;
  #agent = new Agent({ keepAlive: true });

  /**
   * @param pods that share the requests; one that does not run gets none.
   * @param rate requests per second.
   */
  constructor(pods, rate) {
    Object.assign(this, { pods, rate });
    let last = performance.now();
    this.timer = setInterval(() => {
      const now = performance.now();
      this.#due += (this.rate * (now - last)) / 1000;
      last = now;
      for (; this.#due >= 1; this.#due -= 1) this.#next();
    }, TICK_MS);
  }

  #next() {
    const pods = this.pods.filter(({ running }) => running);
    if (pods.length === 0) return;
    const { path, share } = this.#bad;
    this.#sent += 1;
    // Evenly, so that a small share is the same in every window.
    const bad = Math.floor(this.#sent * share) > Math.floor((this.#sent - 1) * share);
    send(pods[this.#sent % pods.length], bad ? path : GOOD, { agent: this.#agent });
  }

  /** Sends a share of the requests to another path; returns what ends that. */
  spoil(path, share = 1) {
    this.#bad = { path, share };
    return () => {
      this.#bad = { path: GOOD, share: 0 };
    };
  }

  end() {
    clearInterval(this.timer);
    this.#agent.destroy();
  }
}
