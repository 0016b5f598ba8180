/** Timers, as an argument: tests turn the wheel themselves. Nothing here keeps a process alive. */
export interface Schedule {
  /** Runs `work` after the current turn of the event loop. */
  soon(work: () => void): void;
  /** Runs `work` once after `delayMs`; returns what cancels it. */
  after(delayMs: number, work: () => void): () => void;
  /** Runs `work` every `periodMs`; returns what ends it. */
  every(periodMs: number, work: () => void): () => void;
}

export const systemSchedule: Schedule = {
  soon: (work) => {
    setImmediate(work);
  },
  after: (delayMs, work) => {
    const timer = setTimeout(work, delayMs).unref();
    return () => clearTimeout(timer);
  },
  every: (periodMs, work) => {
    const timer = setInterval(work, periodMs).unref();
    return () => clearInterval(timer);
  },
};

/** Settles as `work` does, or rejects with `DeadlineError` after `limitMs`; the work itself is not cancelled. */
export function withDeadline<T>(schedule: Schedule, limitMs: number, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = schedule.after(limitMs, () => reject(new DeadlineError(limitMs)));
    work.then(resolve, reject).finally(cancel);
  });
}

export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';

  constructor(limitMs: number) {
    super(`No answer within ${limitMs} ms.`);
  }
}
