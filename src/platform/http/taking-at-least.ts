import { setTimeout as pause } from 'node:timers/promises';

/**
 * The same, but done no sooner than this time after the work says that it begins (it may have waited for its turn
 * before): how long it took then tells nothing of what was found.
 */
export async function takingAtLeast<T>(
  ms: number,
  work: (begin: () => void) => Promise<T>,
): Promise<T> {
  let floor: Promise<void> = Promise.resolve();
  try {
    return await work(() => {
      floor = pause(ms);
    });
  } finally {
    await floor;
  }
}
