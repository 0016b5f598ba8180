import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { awaitTrace, readStats } from '../../support/sandbox.js';
import { WAYS, Ways, type Reach, type WayName } from './reach.js';

/** Something an application does with an SDK; what it gets back is compared between the ways. */
export interface Scenario {
  readonly guarantee: string;
  /** Resolves to what the application sees, in plain values. */
  readonly run: (reach: Reach) => Promise<unknown>;
  /** What must be true of it, whichever way it came. */
  readonly check: (seen: never) => void;
  /** Ways on which it is run; all of them if absent. */
  readonly only?: readonly WayName[];
}

/** A scenario whose `check` sees what its `run` resolves to. */
export function scenario<T>(
  guarantee: string,
  run: (reach: Reach) => Promise<T>,
  check: (seen: T) => void,
): Scenario {
  return { guarantee, run, check };
}

/** Runs each scenario every way, and compares what the application sees with what the provider's answer was. */
export function describeScenarios(sdk: string, scenarios: readonly Scenario[]): void {
  describe(sdk, () => {
    let ways: Ways;
    beforeAll(async () => {
      ways = await Ways.start();
    });
    afterAll(() => ways?.stop());

    describe.each(WAYS)('%s', (way) => {
      const running = scenarios.filter(({ only }) => only === undefined || only.includes(way));
      test.each(running)('$guarantee', async ({ run, check }) => {
        const seen = plain(await run(ways.to(way)));
        check(seen as never);
        if (way !== 'direct') expect(seen).toEqual(plain(await run(ways.to('direct'))));
      });
    });
  });
}

/** Aborts reach the upstream: `stream` starts a slow stream, reads a little of it and aborts. */
export function describeAbort(sdk: string, stream: (reach: Reach) => Promise<void>): void {
  describe(`${sdk}, aborting`, () => {
    let ways: Ways;
    beforeAll(async () => {
      ways = await Ways.start();
    });
    afterAll(() => ways?.stop());

    test.each(WAYS)('%s: an abort in the middle of a stream reaches the provider', async (way) => {
      const reach = ways.to(way);
      const { sandboxOrigin } = reach;
      const before = sandboxOrigin === null ? 0 : (await readStats(sandboxOrigin)).requests;
      await stream(reach);
      // A gateway that does not say where its sandbox is can only be seen to survive the abort.
      if (sandboxOrigin === null) return;
      const trace = await awaitTrace(sandboxOrigin, (it) => it.finished && it.sequence > before);
      expect(trace.aborted).toBe(true);
      expect(trace.framesSent).toBeLessThan(SLOW_CHUNKS);
    });
  });
}

/** A stream that takes about ten seconds if nobody stops it. */
export const SLOW_CHUNKS = 200;
export const SLOW_STREAM = { 'x-sandbox': `chunks=${SLOW_CHUNKS},chunk-delay=50` };

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** What an SDK threw, in plain values. */
export interface SeenError {
  readonly name: string;
  readonly status: unknown;
  readonly error: unknown;
}

export async function thrownBy(run: () => Promise<unknown>): Promise<SeenError> {
  try {
    await run();
  } catch (thrown) {
    const error = thrown as { constructor: { name: string }; status?: unknown; error?: unknown };
    return { name: error.constructor.name, status: error.status, error: error.error };
  }
  throw new Error('The call did not fail.');
}

// Through JSON: an SDK's own classes and hidden members are not the answer.
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (key, member: unknown) =>
    key === 'sdkHttpResponse' ? undefined : member,
  );
  return text === undefined ? undefined : JSON.parse(text);
}
