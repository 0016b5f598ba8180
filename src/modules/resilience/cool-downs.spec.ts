import { beforeEach, describe, expect, it } from 'vitest';
import type { BreakerTarget } from './breaker.js';
import { COOL_DOWN_MS_MAX, CoolDowns, GROWN_MS_MAX, type CoolDownCall } from './cool-downs.js';

const LUNA: BreakerTarget = { provider: 'openai', model: 'gpt-6-luna', synthetic: false };
const SOL: BreakerTarget = { ...LUNA, model: 'gpt-6-sol' };
const call = (orgId: string, target = LUNA, keyId: string | null = 'key'): CoolDownCall => ({
  orgId,
  target,
  keyId,
});
const A = call('org-a');
const B = call('org-b');

let nowMs: number;
let coolDowns: CoolDowns;

beforeEach(() => {
  nowMs = 1_790_000_000_000;
  coolDowns = new CoolDowns({ nowMs: () => nowMs });
});

/** How often a router calls that leaves alone what cools down, and asks once a minute. */
function everyMinute(minutes: number, attempt: () => void): number {
  let attempts = 0;
  for (let minute = 0; minute < minutes; minute += 1) {
    if (!coolDowns.isCoolingDown(A)) {
      attempts += 1;
      attempt();
    }
    nowMs += 60_000;
  }
  return attempts;
}

const remainingMs = (of: CoolDownCall): number => (coolDowns.current(of)?.untilMs ?? nowMs) - nowMs;

describe('a cool-down', () => {
  it.each(['rate_limit', 'quota', 'credential', 'model_access'] as const)(
    'after %s is of that organization alone, also where both use a key of the same name',
    (failure) => {
      for (let time = 0; time < 100; time += 1) coolDowns.failed(A, failure, 60_000);
      expect(coolDowns.isCoolingDown(A)).toBe(true);
      expect(coolDowns.isCoolingDown(B)).toBe(false);
    },
  );

  it.each(['transient', 'caller_fault', 'context_too_long', 'content_filtered'] as const)(
    'does not follow %s',
    (failure) => {
      coolDowns.failed(A, failure, 60_000);
      expect(coolDowns.isCoolingDown(A)).toBe(false);
      expect(coolDowns.size).toBe(0);
    },
  );

  it('lasts as long as the provider asks, and no longer', () => {
    coolDowns.failed(A, 'rate_limit', 20_000);
    nowMs += 19_999;
    expect(coolDowns.isCoolingDown(A)).toBe(true);
    nowMs += 1;
    expect(coolDowns.isCoolingDown(A)).toBe(false);
  });

  it('lasts an hour where the provider asks for an hour: the model is called once in it', () => {
    const attempts = everyMinute(60, () => coolDowns.failed(A, 'rate_limit', 3_600_000));
    expect(attempts).toBe(1);
    expect(coolDowns.isCoolingDown(A)).toBe(false);
  });

  it('lasts a day at most, whatever the provider asks', () => {
    coolDowns.failed(A, 'rate_limit', 86_400_001);
    expect(remainingMs(A)).toBe(COOL_DOWN_MS_MAX);
    coolDowns.failed(B, 'quota', Number.MAX_VALUE);
    expect(remainingMs(B)).toBe(86_400_000);
  });

  it('grows from one to the next where the provider does not say, and stays bounded', () => {
    const waits: number[] = [];
    for (let time = 0; time < 40; time += 1) {
      coolDowns.failed(A, 'rate_limit', null);
      waits.push(remainingMs(A));
      nowMs += remainingMs(A);
    }
    expect(waits.slice(0, 4)).toEqual([5_000, 10_000, 20_000, 40_000]);
    expect(waits.at(-1)).toBe(GROWN_MS_MAX);
  });

  it('counts calls that were under way together once', () => {
    for (let time = 0; time < 50; time += 1) coolDowns.failed(A, 'rate_limit', null);
    expect(remainingMs(A)).toBe(5_000);
  });

  it('shrinks again with successes, and with time', () => {
    const strike = (): void => {
      coolDowns.failed(A, 'rate_limit', null);
      nowMs += remainingMs(A);
    };
    for (let time = 0; time < 3; time += 1) strike();
    coolDowns.succeeded(A, nowMs);
    coolDowns.succeeded(A, nowMs);
    coolDowns.failed(A, 'rate_limit', null);
    expect(remainingMs(A)).toBe(10_000);
    nowMs += remainingMs(A) + 3 * 600_000;
    coolDowns.failed(A, 'rate_limit', null);
    expect(remainingMs(A)).toBe(5_000);
  });

  it('ends with a success of a call that began after it, not of one from before', () => {
    const startedAtMs = nowMs - 1;
    coolDowns.failed(A, 'quota', null);
    coolDowns.succeeded(A, startedAtMs);
    expect(coolDowns.isCoolingDown(A)).toBe(true);
    coolDowns.succeeded(A, nowMs);
    expect(coolDowns.isCoolingDown(A)).toBe(false);
  });

  it('of a key stays with the model that failed when another one succeeds, for as long as was asked', () => {
    const other = call('org-a', SOL);
    const attempts = everyMinute(6, () => {
      coolDowns.failed(A, 'quota', 360_000);
      coolDowns.succeeded(other, nowMs);
    });
    expect(attempts).toBe(1);
    expect(remainingMs(A)).toBe(0);
  });

  it('of a key leaves the models alone that have not failed once one of them succeeds', () => {
    const [sol, terra] = [SOL, { ...LUNA, model: 'gpt-6-terra' }].map((of) => call('org-a', of));
    coolDowns.failed(A, 'quota', 300_000);
    coolDowns.failed(terra!, 'credential', 300_000);
    expect(coolDowns.isCoolingDown(sol!)).toBe(true);
    coolDowns.succeeded(sol!, nowMs);
    expect(coolDowns.isCoolingDown(sol!)).toBe(false);
    expect([remainingMs(A), remainingMs(terra!)]).toEqual([300_000, 300_000]);
    coolDowns.succeeded(A, nowMs);
    expect([remainingMs(A), remainingMs(terra!)]).toEqual([0, 300_000]);
  });

  it('grows for the model that fails though others succeed between, where the provider does not say', () => {
    const waits = [1, 2, 3].map(() => {
      coolDowns.failed(A, 'quota', null);
      coolDowns.succeeded(call('org-a', SOL), nowMs);
      const wait = remainingMs(A);
      nowMs += wait;
      return wait;
    });
    expect(waits).toEqual([60_000, 120_000, 240_000]);
  });

  it('is of the model for a rate limit or a missing model, of the whole key for quota and a bad key', () => {
    const other = call('org-a', SOL);
    for (const failure of ['rate_limit', 'model_access'] as const) {
      coolDowns = new CoolDowns({ nowMs: () => nowMs });
      coolDowns.failed(A, failure, null);
      expect(coolDowns.isCoolingDown(other)).toBe(false);
    }
    for (const failure of ['quota', 'credential'] as const) {
      coolDowns = new CoolDowns({ nowMs: () => nowMs });
      coolDowns.failed(A, failure, null);
      expect(coolDowns.isCoolingDown(other)).toBe(true);
    }
  });

  it('is of the model for a quota of Gemini, which counts by model and day', () => {
    const flash: BreakerTarget = { provider: 'google', model: 'gemini-flash', synthetic: false };
    coolDowns.failed(call('org-a', flash), 'quota', null);
    expect(coolDowns.isCoolingDown(call('org-a', flash))).toBe(true);
    expect(coolDowns.isCoolingDown(call('org-a', { ...flash, model: 'gemini-pro' }))).toBe(false);
  });

  it('is gone with the key: a new one starts without a history', () => {
    coolDowns.failed(A, 'credential', null);
    expect(coolDowns.isCoolingDown(call('org-a', LUNA, 'new-key'))).toBe(false);
  });

  it('holds a bounded number, and one organization does not push out another’s', () => {
    coolDowns.failed(B, 'rate_limit', 600_000);
    for (let name = 0; name < 100_000; name += 1)
      coolDowns.failed(call('org-a', { ...LUNA, model: `made-up-${name}` }), 'model_access', null);
    expect(coolDowns.size).toBeLessThanOrEqual(65);
    expect(coolDowns.isCoolingDown(B)).toBe(true);
  });
});
