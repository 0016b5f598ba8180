import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A server under measurement, in a process of its own. */
export interface Measured {
  readonly name: string;
  readonly origin: string;
  /** CPU time of all threads so far, nanoseconds (Linux: /proc/<pid>/task/<tid>/schedstat). */
  cpuNs(): number;
  stop(): Promise<void>;
}

const START_MS_MAX = 60_000;

/** Starts a script and waits for the line of its output that tells its port. */
export async function startMeasured(
  name: string,
  script: string,
  env: NodeJS.ProcessEnv,
): Promise<Measured> {
  const child = spawn(process.execPath, ['--enable-source-maps', script], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await portOf(child, name);
  return {
    name,
    origin: `http://127.0.0.1:${port}`,
    cpuNs: () => cpuNsOf(child.pid ?? 0),
    stop: () => stop(child),
  };
}

function portOf(child: ChildProcess, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name} did not start in time`)), START_MS_MAX);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const port = /(?:^port |http:\/\/127\.0\.0\.1:)(\d+)/.exec(line)?.[1];
      if (port === undefined) return;
      clearTimeout(late);
      resolve(port);
    });
  });
}

function cpuNsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadNs(pid, thread), 0);
}

function threadNs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    return 0;
  }
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
