// Other programs: is one there, a port for it, its start, and its end whatever happens.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** All that listens here does so on this address alone. */
export const HOST = '127.0.0.1';

const PATIENCE_MS = 5000;

/** Is there such a program on PATH? */
export const onPath = (program) =>
  process.env.PATH.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Does Docker answer? */
export function dockerWorks() {
  if (!onPath('docker')) return false;
  try {
    execFileSync('docker', ['version'], { stdio: 'ignore', timeout: PATIENCE_MS });
    return true;
  } catch {
    return false;
  }
}

/** Makes a server listen, which must be closed; returns its port. */
export async function listen(server, port = 0) {
  server.listen({ host: HOST, port });
  await once(server, 'listening');
  return server.address().port;
}

/**
 * Ports that nobody listens on now, by name.
 * @param wanted a port for each name; 0 is any.
 * @throws {Error} when one is taken.
 */
export async function freePorts(wanted) {
  const found = {};
  const servers = [];
  try {
    for (const [name, port] of Object.entries(wanted)) {
      const server = createServer();
      servers.push(server);
      try {
        found[name] = await listen(server, port);
      } catch (error) {
        if (error.code !== 'EADDRINUSE') throw error;
        throw new Error(`port ${port} is taken: end what listens there, or set ${name}=0 for any`);
      }
    }
  } finally {
    for (const server of servers) server.close();
  }
  return found;
}

/** A program that runs until `end` is called, with its output in a file. */
export class Program {
  /**
   * @param name of the program on PATH.
   * @param log file for its output.
   */
  constructor(name, args, { cwd, log }) {
    this.name = name;
    this.log = log;
    const output = openSync(log, 'a');
    this.child = spawn(name, args, { cwd, stdio: ['ignore', output, output] });
    closeSync(output);
    this.ended = new Promise((resolve) => {
      this.child.on('error', resolve).on('exit', resolve);
    });
  }

  get running() {
    const { pid, exitCode, signalCode } = this.child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** The last lines that it has written. */
  get lastWords() {
    return readFileSync(this.log, 'utf8').trim().split('\n').slice(-5).join('\n');
  }

  /**
   * Waits until an address answers with success.
   * @throws {Error} when the program has ended, or time is up.
   */
  async answers(url, ms = 30_000) {
    const end = Date.now() + ms;
    while (this.running && Date.now() < end) {
      const ok = await fetch(url).then(
        async (response) => (await response.arrayBuffer()) && response.ok,
        () => false,
      );
      if (ok) return;
      await sleep(50);
    }
    throw new Error(`${this.name} does not answer at ${url}:\n${this.lastWords}`);
  }

  end = () => end(this.child, this.ended);
}

/** Ends a child by its id: asks, and after a while does not ask any more. */
export async function end(child, ended) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  // One that was stopped hears nothing.
  child.kill('SIGCONT');
  const kill = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await ended;
  clearTimeout(kill);
}

// The kernel's unit for people is the same on all of Linux' platforms.
const TICKS_PER_SECOND = 100;

/** What the kernel counts of a process: resident memory in bytes, seconds of CPU. */
export function usageOf(pid) {
  if (process.platform === 'linux') {
    const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // Behind the name, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { bytes: Number(kibibytes ?? 0) * 1024, seconds: ticks / TICKS_PER_SECOND };
  }
  const text = execFileSync('ps', ['-o', 'rss=,time=', '-p', pid], { encoding: 'utf8' });
  const [kibibytes, time] = text.trim().split(/\s+/);
  const seconds = time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return { bytes: Number(kibibytes) * 1024, seconds };
}
