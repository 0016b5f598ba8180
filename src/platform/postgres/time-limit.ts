import { QueryError } from './query-error.js';

/**
 * Rejects with a `QueryError` (`timeout`) when `work` takes longer. The work itself goes on: its own limits,
 * which are longer, end it.
 */
export async function withinTime<T>(work: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    const late = (): void =>
      reject(
        new QueryError(`The database did not answer within ${limitMs} ms`, 'timeout', null, true),
      );
    timer = setTimeout(late, limitMs).unref();
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
    // When the limit wins, a later rejection has no other handler.
    work.catch(() => undefined);
  }
}
