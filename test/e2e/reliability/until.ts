import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 10;

/** Waits until the condition holds and tells how long that took, in milliseconds; throws after `limitMs`. */
export async function until(
  what: string,
  limitMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<number> {
  const beganAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - beganAt > limitMs) throw new Error(`Not within ${limitMs} ms: ${what}`);
    await delay(POLL_MS);
  }
  return performance.now() - beganAt;
}

/** Shows a figure beside the test that found it. */
export function measured(what: string, figure: string): void {
  process.stdout.write(`  measured: ${what}: ${figure}\n`);
}
