import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { awaitTrace } from '../../support/sandbox.js';
import { Ways, type Reach, type WayName } from './reach.js';

/** Something an application does with an SDK; what it gets back is compared between the ways. */
export interface Scenario {
  readonly guarantee: string;
  /** Resolves to what the application sees, in plain values. */
  readonly run: (reach: Reach) => Promise<unknown>;
  /** What must be true of it, whichever way it came. */
  readonly check: (seen: never) => void;
}

/** A scenario whose `check` sees what its `run` resolves to. */
export function scenario<T>(
  guarantee: string,
  run: (reach: Reach) => Promise<T>,
  check: (seen: T) => void,
): Scenario {
  return { guarantee, run, check };
}

export interface SdkSuite {
  readonly sdk: string;
  readonly ways: readonly WayName[];
  readonly scenarios: readonly Scenario[];
  /** The simplest call, and the class of the error that a wrong key makes of it. */
  readonly refused: { readonly call: (reach: Reach) => Promise<unknown>; readonly name: string };
  /** Starts a slow stream with `SLOW_STREAM`, reads a little of it and aborts. */
  readonly abort: (reach: Reach) => Promise<void>;
}

/** Runs each scenario every way, and compares what the application sees with what the provider's answer was. */
export function describeSdk({ sdk, ways: names, scenarios, refused, abort }: SdkSuite): void {
  describe(sdk, () => {
    let ways: Ways;
    beforeAll(async () => {
      ways = await Ways.start();
    });
    afterAll(() => ways?.stop());

    describe.each(names)('%s', (way) => {
      test.each(scenarios)('$guarantee', async ({ run, check }) => {
        const seen = plain(await run(ways.to(way)));
        check(seen as never);
        if (way !== 'direct') expect(seen).toEqual(plain(await run(ways.to('direct'))));
      });

      test('a wrong key is the error that the SDK has for it', async () => {
        const reach = { ...ways.to(way), key: 'invalid-key-0123456789' };
        expect(await thrownBy(() => refused.call(reach))).toMatchObject({ name: refused.name });
      });

      test('an abort in the middle of a stream reaches the provider', async () => {
        const { sandbox } = ways;
        const before = sandbox.stats().requests;
        await abort(ways.to(way));
        const trace = await awaitTrace(sandbox.origin, (it) => it.finished && it.sequence > before);
        expect(trace.aborted).toBe(true);
        expect(trace.framesSent).toBeLessThan(SLOW_CHUNKS);
      });
    });
  });
}

/** A stream that takes about ten seconds if nobody stops it. */
const SLOW_CHUNKS = 200;
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
