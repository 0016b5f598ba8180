import type { JobsOptions, Queue, WorkerOptions } from 'bullmq';
import type { Job } from './job-table.js';

/** Also what the worker's connections are called in `pg_stat_activity`. */
export const JOB_QUEUE = 'shunt-jobs';

/**
 * Jobs that run at once in a process, so that one which takes long keeps no other. A worker that was killed has its
 * jobs taken over once their lock has run out: within 25 s. One is taken over as often as it takes.
 */
export const WORKER_OPTIONS = {
  concurrency: 4,
  lockDuration: 10_000,
  stalledInterval: 5_000,
  maxStalledCount: 100,
  removeOnComplete: { count: 20 },
} as const satisfies Partial<WorkerOptions>;

/** A failed run is tried again after 2 s and 4 s, and then with the next turn. The last failures can be read in the queue. */
const RUN_OPTIONS: JobsOptions = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 2_000 },
  removeOnComplete: { count: 20 },
  removeOnFail: { count: 100 },
  stackTraceLimit: 1,
};

/** How long after its time a turn that nobody took is taken for lost, and not for waiting. */
const LOST_AFTER_MS = 10 * 60_000;
const SCHEDULERS_MAX = 1_000;

/**
 * Makes the queue's schedule that of the table. What is scheduled as it should be is left alone: a nightly turn that
 * came while no process ran is waiting there, and is taken at once.
 */
export async function ensureSchedule(
  queue: Queue,
  jobs: readonly Job[],
  nowMs: number,
): Promise<void> {
  const scheduled = await queue.getJobSchedulers(0, SCHEDULERS_MAX);
  const byKey = new Map(scheduled.map((scheduler) => [scheduler.key, scheduler]));
  for (const { name, schedule } of jobs) {
    const found = byKey.get(name);
    byKey.delete(name);
    const isSame =
      found !== undefined &&
      ('everyMs' in schedule
        ? Number(found.every) === schedule.everyMs
        : found.pattern === schedule.pattern);
    if (isSame && (await isAlive(queue, name, found.next, nowMs))) continue;
    const repeat =
      'everyMs' in schedule
        ? { every: schedule.everyMs }
        : { pattern: schedule.pattern, tz: 'UTC' };
    await queue.upsertJobScheduler(name, repeat, { name, data: {}, opts: RUN_OPTIONS });
  }
  for (const key of byKey.keys()) await queue.removeJobScheduler(key);
}

/** Whether a schedule's next turn is there: one that went lost would never bring another. */
async function isAlive(
  queue: Queue,
  name: string,
  nextMs: number | undefined,
  nowMs: number,
): Promise<boolean> {
  if (nextMs === undefined) return false;
  if (nextMs > nowMs - LOST_AFTER_MS) return true;
  return (await queue.getJob(`repeat:${name}:${nextMs}`)) !== undefined;
}
