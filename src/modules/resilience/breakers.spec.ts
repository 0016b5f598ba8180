import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FailureClass } from '../../domain/failure/failure-class.js';
import { systemClock } from '../../platform/clock.js';
import type { BreakerOutcome, BreakerTarget } from './breaker.js';
import { BREAKERS_MAX, PROBE_MS_MAX, PROBE_TURN_MS, RESET_MS, WINDOW_MS } from './breaker-rules.js';
import { Breakers, type Attempt } from './breakers.js';

const LUNA: BreakerTarget = { provider: 'openai', model: 'gpt-6-luna', synthetic: false };
const [A, B, C, D, E] = ['org-a', 'org-b', 'org-c', 'org-d', 'org-e'] as const;

const NOT_COUNTED: readonly FailureClass[] = [
  'caller_fault',
  'context_too_long',
  'content_filtered',
  'credential',
  'quota',
  'rate_limit',
  'model_access',
];

let breakers: Breakers;

beforeEach(() => {
  // Opossum's own timer and the clock are one.
  vi.useFakeTimers();
  breakers = new Breakers({ clock: systemClock });
});
afterEach(() => {
  breakers.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

function report(orgId: string, outcome: BreakerOutcome, times = 1, target = LUNA): void {
  for (let time = 0; time < times; time += 1) breakers.observe({ target, orgId }, outcome);
}
const attempt = (orgId: string): Attempt => breakers.attempt({ target: LUNA, orgId });
const stateFor = (orgId: string) => breakers.stateFor({ target: LUNA, orgId });

describe('a breaker', () => {
  it('opens when more than half of at least six calls within a minute failed', () => {
    report(A, 'transient', 5);
    expect(stateFor(A)).toBe('closed');
    report(A, 'transient');
    expect(stateFor(A)).toBe('open');
    expect(attempt(A)).toMatchObject({ allowed: false, kind: 'normal' });
  });

  it('stays closed while half of the calls succeed', () => {
    for (let call = 0; call < 50; call += 1) {
      report(A, 'succeeded');
      report(A, 'transient');
    }
    expect(stateFor(A)).toBe('closed');
  });

  it('forgets what is longer ago than a minute', () => {
    report(A, 'transient', 5);
    vi.advanceTimersByTime(WINDOW_MS);
    report(A, 'transient', 5);
    expect(stateFor(A)).toBe('closed');
  });

  it.each(NOT_COUNTED)('never opens by %s', (failure) => {
    report(A, failure, 1_000);
    for (let call = 0; call < 1_000; call += 1) attempt(B).failed(failure);
    expect(stateFor(A)).toBe('closed');
    expect(breakers.size).toBe(0);
  });

  it('counts a stream that breaks after its first byte by its end', () => {
    const streams = Array.from({ length: 6 }, () => attempt(A));
    vi.advanceTimersByTime(5 * WINDOW_MS);
    for (const stream of streams) stream.failed('transient');
    expect(stateFor(A)).toBe('open');
  });

  it('counts a call once, whatever is reported after its end', () => {
    const call = attempt(A);
    for (let time = 0; time < 20; time += 1) call.failed('transient');
    expect(stateFor(A)).toBe('closed');
  });

  it('counts a call that the client left for nothing', () => {
    report(A, 'transient', 5);
    for (let call = 0; call < 50; call += 1) attempt(A).abandoned();
    expect(breakers.states()).toMatchObject([{ recentFailed: 5, recentSucceeded: 0 }]);
  });

  it('keeps the sandbox apart from the real provider, and models from each other', () => {
    report(A, 'transient', 6);
    for (const target of [
      { ...LUNA, synthetic: true },
      { ...LUNA, model: 'gpt-6-sol' },
      { ...LUNA, provider: 'groq' as const },
    ])
      expect(breakers.stateFor({ target, orgId: A })).toBe('closed');
  });
});

describe('an open breaker', () => {
  beforeEach(() => {
    report(A, 'transient', 6);
  });

  it('lets exactly one probe through after 15 s, and closes when it succeeds', () => {
    vi.advanceTimersByTime(RESET_MS - 1);
    expect(attempt(A).allowed).toBe(false);
    vi.advanceTimersByTime(1);
    const probe = attempt(A);
    expect(probe).toMatchObject({ allowed: true, kind: 'probe' });
    expect(attempt(A).allowed).toBe(false);
    probe.succeeded();
    expect(stateFor(A)).toBe('closed');
    expect(attempt(A)).toMatchObject({ allowed: true, kind: 'normal' });
  });

  it('begins anew when it closes: one more failure does not open it', () => {
    vi.advanceTimersByTime(RESET_MS);
    attempt(A).succeeded();
    report(A, 'transient', 5);
    expect(stateFor(A)).toBe('closed');
  });

  it('opens again when the probe fails', () => {
    vi.advanceTimersByTime(RESET_MS);
    attempt(A).failed('transient');
    expect(stateFor(A)).toBe('open');
    vi.advanceTimersByTime(RESET_MS + PROBE_TURN_MS);
    expect(attempt(A).kind).toBe('probe');
  });

  it.each([...NOT_COUNTED, 'abandoned' as const])(
    'is neither closed nor opened by a probe that ends in %s; the next call probes',
    (outcome) => {
      vi.advanceTimersByTime(RESET_MS);
      const probe = attempt(A);
      if (outcome === 'abandoned') probe.abandoned();
      else probe.failed(outcome);
      expect(stateFor(A)).toBe('half_open');
      expect(attempt(A).kind).toBe('probe');
    },
  );

  it('is not closed by the success of a call that was no probe', async () => {
    const forced = attempt(A);
    vi.advanceTimersByTime(RESET_MS);
    forced.succeeded();
    report(A, 'succeeded', 20);
    await Promise.resolve();
    expect(stateFor(A)).toBe('half_open');
  });

  it('gives up a probe without an end after a minute, and still takes its late success', () => {
    vi.advanceTimersByTime(RESET_MS);
    const lost = attempt(A);
    vi.advanceTimersByTime(PROBE_MS_MAX - 1);
    expect(attempt(A).allowed).toBe(false);
    vi.advanceTimersByTime(1);
    const second = attempt(A);
    expect(second.kind).toBe('probe');
    lost.succeeded();
    expect(stateFor(A)).toBe('closed');
    second.failed('transient');
    expect(stateFor(A)).toBe('closed');
  });

  it('takes no verdict of a probe once another has failed after it', () => {
    vi.advanceTimersByTime(RESET_MS);
    const lost = attempt(A);
    vi.advanceTimersByTime(PROBE_MS_MAX);
    attempt(A).failed('transient');
    vi.advanceTimersByTime(RESET_MS);
    lost.succeeded();
    expect(stateFor(A)).toBe('half_open');
  });

  it('does not open again by calls that began before it closed', () => {
    breakers.stop();
    breakers = new Breakers({ clock: systemClock });
    const stuck = Array.from({ length: 20 }, () => attempt(A));
    report(A, 'transient', 6);
    vi.advanceTimersByTime(RESET_MS);
    attempt(A).succeeded();
    for (const call of stuck) call.failed('transient');
    expect(stateFor(A)).toBe('closed');
  });
});

describe('several organizations', () => {
  it('leave each other alone: failures of one open the breaker for that one only', () => {
    report(B, 'succeeded');
    report(A, 'transient', 500);
    expect(stateFor(A)).toBe('open');
    for (const other of [B, C]) {
      expect(stateFor(other)).toBe('closed');
      expect(attempt(other)).toMatchObject({ allowed: true, kind: 'normal' });
    }
    expect(breakers.states()).toMatchObject([{ state: 'open', openFor: 'some' }]);
  });

  it('open it for everybody once two fail, and nobody else succeeds', () => {
    report(A, 'transient', 6);
    report(B, 'transient');
    expect(stateFor(C)).toBe('closed');
    report(B, 'transient');
    expect(stateFor(C)).toBe('open');
    expect(breakers.states()).toMatchObject([{ state: 'open', openFor: 'all' }]);
  });

  it('do not: two of them cannot while more of the others succeed', () => {
    for (const other of [C, D, E]) report(other, 'succeeded');
    report(A, 'transient', 100);
    report(B, 'transient', 100);
    for (const failing of [A, B]) expect(stateFor(failing)).toBe('open');
    for (const other of [C, D, E]) expect(stateFor(other)).toBe('closed');
  });

  it('open it for everybody when many meet one failure each', () => {
    for (let org = 0; org < 6; org += 1) report(`org-${org}`, 'transient');
    expect(stateFor('org-new')).toBe('open');
  });

  it('go before the one whose probe has just failed', () => {
    report(A, 'transient', 6);
    report(B, 'transient', 6);
    vi.advanceTimersByTime(RESET_MS);
    attempt(A).failed('transient');
    vi.advanceTimersByTime(RESET_MS);
    expect(attempt(A).allowed).toBe(false);
    attempt(B).succeeded();
    expect(stateFor(C)).toBe('closed');
  });
});

describe('memory', () => {
  it('holds no more breakers than its bound after 100,000 names of models, and never forgets an open one', () => {
    report(A, 'transient', 6);
    for (let name = 0; name < 100_000; name += 1)
      report(A, 'succeeded', 1, { ...LUNA, model: `made-up-${name}` });
    expect(breakers.size).toBe(BREAKERS_MAX);
    expect(stateFor(A)).toBe('open');
  }, 60_000);

  it('stays bounded when all that it holds is open: what is new is not tracked, and allowed', () => {
    breakers.stop();
    breakers = new Breakers({ clock: systemClock, breakersMax: 50 });
    for (let name = 0; name < 100; name += 1)
      report(A, 'transient', 6, { ...LUNA, model: `model-${name}` });
    expect(breakers.size).toBe(50);
    expect(breakers.attempt({ target: { ...LUNA, model: 'model-99' }, orgId: A }).allowed).toBe(
      true,
    );
  });

  it('does not track names that no provider would take', () => {
    report(A, 'transient', 6, { ...LUNA, model: 'x'.repeat(257) });
    expect(breakers.size).toBe(0);
  });
});

type Step =
  | { readonly do: 'attempt'; readonly org: string }
  | { readonly do: 'end'; readonly which: number; readonly outcome: BreakerOutcome }
  | { readonly do: 'observe'; readonly org: string; readonly outcome: BreakerOutcome }
  | { readonly do: 'wait'; readonly ms: number };

const org = fc.constantFrom(A, B, C);
const outcome = fc.oneof(
  { weight: 6, arbitrary: fc.constant<BreakerOutcome>('transient') },
  { weight: 2, arbitrary: fc.constant<BreakerOutcome>('succeeded') },
  { weight: 1, arbitrary: fc.constantFrom<BreakerOutcome>('abandoned', ...NOT_COUNTED) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('attempt' as const), org }),
  fc.record({ do: fc.constant('end' as const), which: fc.nat(20), outcome }),
  fc.record({ do: fc.constant('observe' as const), org, outcome }),
  fc.record({
    do: fc.constant('wait' as const),
    ms: fc.oneof(fc.nat(2_000), fc.constantFrom(RESET_MS, PROBE_TURN_MS, PROBE_MS_MAX)),
  }),
);

interface Open {
  readonly attempt: Attempt;
  readonly startedAtMs: number;
  readonly outage: number;
}

describe('for any course of events', () => {
  it('there are never two probes at once, only a probe closes, and only the transient opens', () => {
    let probes = 0;
    let closed = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 200 }), (steps) => {
        breakers.stop();
        breakers = new Breakers({ clock: systemClock });
        const under: Open[] = [];
        let outage = 0;
        const stateNow = () => breakers.states()[0]?.state ?? 'closed';
        for (const now of steps) {
          const before = stateNow();
          let told: BreakerOutcome | null = null;
          let isProbe = false;
          if (now.do === 'attempt') {
            const made = attempt(now.org);
            if (made.kind === 'probe') {
              probes += 1;
              const others = under.filter(
                (one) =>
                  one.attempt.kind === 'probe' &&
                  one.outage === outage &&
                  Date.now() - one.startedAtMs < PROBE_MS_MAX,
              );
              expect(others).toEqual([]);
            }
            under.push({ attempt: made, startedAtMs: Date.now(), outage });
          } else if (now.do === 'end') {
            const [one] = under.splice(now.which % Math.max(1, under.length), 1);
            if (one === undefined) continue;
            told = now.outcome;
            isProbe = one.attempt.kind === 'probe';
            if (told === 'succeeded') one.attempt.succeeded();
            else if (told === 'abandoned') one.attempt.abandoned();
            else one.attempt.failed(told);
          } else if (now.do === 'observe') {
            told = now.outcome;
            report(now.org, told);
          } else vi.advanceTimersByTime(now.ms);
          const after = stateNow();
          if (before !== 'closed' && after === 'closed') {
            closed += 1;
            expect([before, told, isProbe]).toEqual(['half_open', 'succeeded', true]);
          }
          if (before !== 'open' && after === 'open') {
            expect(told).toBe('transient');
            if (before === 'half_open') expect(isProbe).toBe(true);
            outage += 1;
          }
          if (before !== 'half_open' && after === 'half_open') {
            expect([before, now.do]).toEqual(['open', 'wait']);
          }
        }
      }),
      { numRuns: 400 },
    );
    // Else nothing was tried.
    expect(Math.min(probes, closed)).toBeGreaterThan(5);
  });

  it('one organization never keeps another from a model', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        breakers.stop();
        breakers = new Breakers({ clock: systemClock });
        const under: Attempt[] = [];
        for (const now of steps) {
          if (now.do === 'attempt') under.push(attempt(A));
          else if (now.do === 'observe') report(A, now.outcome);
          else if (now.do === 'wait') vi.advanceTimersByTime(now.ms);
          else if (now.outcome !== 'succeeded' && now.outcome !== 'abandoned')
            under.pop()?.failed(now.outcome);
          expect(attempt(B).allowed).toBe(true);
          expect(stateFor(B)).toBe('closed');
        }
      }),
      { numRuns: 200 },
    );
  });
});
