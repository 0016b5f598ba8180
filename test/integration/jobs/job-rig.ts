import { Writable } from 'node:stream';
import { JobRunner } from '../../../src/jobs/job-runner.js';
import type { Job } from '../../../src/jobs/job-table.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { QueueServer } from '../../../src/platform/queue/queue-backend.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';

const POLL_MS = 20;

export interface RunningJobs {
  readonly logs: () => string;
  metric(name: string, labels?: string): Promise<number>;
  stop(): Promise<void>;
}

/** A process's jobs, on a server of the test's. */
export function startJobs(server: QueueServer, jobs: readonly Job[]): RunningJobs {
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const metrics = new Metrics();
  const logger = createLogger('info', sink);
  const runner = new JobRunner({ server, jobs, clock: systemClock, metrics, logger });
  runner.start();
  return {
    logs: () => lines.join(''),
    async metric(name, labels = '') {
      const text = await metrics.registry.metrics();
      const line = text.split('\n').find((row) => row.startsWith(`${name}${labels}`));
      return Number(line?.split(' ').at(-1) ?? 0);
    },
    stop: () => runner.stop(),
  };
}

export function every(everyMs: number, name: string, run: Job['run'], limitMs = 10_000): Job {
  return { name, schedule: { everyMs }, limitMs, run };
}

export async function until(
  what: string,
  limitMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}
