import { describe, expect, test } from 'vitest';
import { FORM_LIMITS, GrowingDelays, type DelayLimits } from './growing-delays.js';
import { HttpError } from './http-error.js';

/** Time stands still but for what is waited for, one attempt after the other. */
function rig(limits: Partial<DelayLimits> = {}) {
  let nowMs = 1_000_000;
  const clock = { nowMs: () => nowMs };
  const waited: number[] = [];
  const delays = new GrowingDelays(clock, limits, async (ms) => {
    waited.push(ms);
    nowMs += ms;
  });
  const fail = (address: string) => delays.run(address, async (attempt) => attempt.count());
  const succeed = (address: string) => delays.run(address, async () => undefined);
  const delayOf = async (attempt: () => Promise<unknown>): Promise<number> => {
    const before = nowMs;
    await attempt();
    return nowMs - before;
  };
  return { delays, fail, succeed, waited, delayOf, pass: (ms: number) => (nowMs += ms) };
}

describe('an address', () => {
  test('waits for nothing at first, then ever longer, and never longer than the stated maximum', async () => {
    const { fail, delayOf } = rig();
    const waits = [];
    for (let i = 0; i < 12; i += 1) waits.push(Math.round(await delayOf(() => fail('a'))));
    expect(waits.slice(0, 3)).toEqual([0, 0, 0]);
    expect(waits[3]).toBeGreaterThan(200);
    for (let i = 4; i < 8; i += 1) expect(waits[i]).toBeGreaterThan(waits[i - 1]! * 1.9);
    expect(Math.max(...waits)).toBeLessThanOrEqual(FORM_LIMITS.addressDelayMsMax);
    expect(waits.at(-1)).toBeGreaterThan(4_900);
  });

  test('that only succeeds never waits', async () => {
    const { succeed, waited } = rig();
    for (let i = 0; i < 20; i += 1) await succeed('a');
    expect(waited).toEqual([]);
  });

  test('does not get rid of its failures by a success in between', async () => {
    const { fail, succeed, delayOf } = rig();
    for (let i = 0; i < 8; i += 1) await fail('a');
    await succeed('a');
    expect(await delayOf(() => succeed('a'))).toBeGreaterThan(1_000);
  });

  test('waits for nothing but its own failures where the clock was set back', async () => {
    const { fail, succeed, delayOf, pass } = rig();
    await succeed('a');
    for (let i = 0; i < 6; i += 1) await fail('b');
    pass(-3_600_000);
    expect(await delayOf(() => succeed('a'))).toBe(0);
    const waited = await delayOf(() => succeed('b'));
    expect(waited).toBeGreaterThan(1_000);
    expect(waited).toBeLessThanOrEqual(FORM_LIMITS.addressDelayMsMax);
  });

  test('is forgiven with time', async () => {
    const { fail, succeed, delayOf, pass } = rig();
    for (let i = 0; i < 10; i += 1) await fail('a');
    pass(10 * FORM_LIMITS.addressHalfLifeMs);
    expect(await delayOf(() => succeed('a'))).toBe(0);
  });

  test('does not wait for the failures of another, whatever their number from one address', async () => {
    const { fail, succeed, delayOf } = rig();
    for (let i = 0; i < 20; i += 1) await fail('flood');
    expect(await delayOf(() => succeed('a'))).toBe(0);
  });

  test('waits at most the stated second for failures from everywhere', async () => {
    const { fail, succeed, delayOf } = rig();
    for (let i = 0; i < 2_000; i += 1) await fail(`10.0.${i >> 8}.${i & 255}`);
    const wait = await delayOf(() => succeed('a'));
    expect(wait).toBeGreaterThan(500);
    expect(wait).toBeLessThanOrEqual(FORM_LIMITS.overallDelayMsMax);
  });
});

describe('attempts at the same time', () => {
  /** Works end when the test says so. */
  function held(limits: Partial<DelayLimits> = {}) {
    const { delays, fail } = rig(limits);
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const start = (address: string): Promise<void> =>
      delays.run(address, async () => {
        begun.push(address);
        await new Promise<void>((end) => ends.push(end));
      });
    return { start, fail, begun, endOne: () => ends.shift()?.() };
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  test('work two at a time at most, whatever arrives', async () => {
    const { start, begun } = held();
    for (let i = 0; i < 20; i += 1) void start(`address ${i}`);
    await settle();
    expect(begun).toHaveLength(FORM_LIMITS.workingMax);
  });

  test('of an address without failures come before those of one with failures', async () => {
    const { start, fail, begun, endOne } = held();
    for (let i = 0; i < 4; i += 1) await fail('suspect');
    void start('x');
    void start('y');
    await settle();
    void start('suspect');
    void start('suspect');
    await settle();
    void start('victim');
    await settle();
    endOne();
    await settle();
    expect(begun).toEqual(['x', 'y', 'victim']);
  });

  test('take turns: one that floods has its second attempt only after everybody’s first', async () => {
    const { start, begun, endOne } = held();
    for (const address of ['x', 'y', 'flood', 'flood', 'flood', 'victim']) void start(address);
    await settle();
    for (let i = 0; i < 2; i += 1) {
      endOne();
      await settle();
    }
    expect(begun).toEqual(['x', 'y', 'flood', 'victim']);
  });

  test('are bounded per address: 429 with retry-after there, and nowhere else', async () => {
    const { start } = held();
    for (let i = 0; i < FORM_LIMITS.perAddressMax; i += 1) void start('a');
    const refused = await start('a').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(HttpError);
    expect((refused as HttpError).getStatus()).toBe(429);
    expect((refused as HttpError).code).toBe('too_many_attempts');
    expect((refused as HttpError).retryAfterSeconds).toBeGreaterThan(0);
    const other = start('b');
    await expect(Promise.race([other, settle().then(() => 'waits')])).resolves.toBe('waits');
  });

  test('of addresses with many failures leave room for the others', async () => {
    const { start, fail } = held({ suspectsMax: 2, attemptsMax: 4, perAddressMax: 10 });
    for (let i = 0; i < 5; i += 1) await fail('suspect');
    void start('suspect');
    void start('suspect');
    await expect(start('suspect')).rejects.toMatchObject({ code: 'too_many_attempts' });
    void start('victim');
    await expect(Promise.race([start('another'), settle().then(() => 'waits')])).resolves.toBe(
      'waits',
    );
  });

  test('leave room for new addresses when it gets full: then each has one', async () => {
    const { start } = held({ attemptsMax: 8, perAddressMax: 4 });
    for (let i = 0; i < 4; i += 1) void start('a');
    for (const address of ['b', 'c', 'd']) {
      void start(address);
      await expect(start(address)).rejects.toMatchObject({ code: 'too_many_attempts' });
    }
    await expect(Promise.race([start('victim'), settle().then(() => 'waits')])).resolves.toBe(
      'waits',
    );
  });

  test('give their place back when they fail', async () => {
    const { delays } = rig({ workingMax: 1, perAddressMax: 1 });
    const failing = (): Promise<never> =>
      delays.run('a', async () => {
        throw new Error('the database is away');
      });
    await expect(failing()).rejects.toThrow('away');
    await expect(failing()).rejects.toThrow('away');
    await expect(delays.run('a', async () => 'done')).resolves.toBe('done');
  });
});

test('what is remembered is bounded: the address seen the longest time ago is forgotten first', async () => {
  const { fail, succeed, delayOf } = rig({ addressesMax: 2, freeFailuresOverall: 1_000 });
  for (let i = 0; i < 6; i += 1) await fail('a');
  await fail('b');
  await fail('c');
  expect(await delayOf(() => succeed('a'))).toBe(0);
});
