import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKET_MS, SlidingWindow, WINDOW_MS } from './sliding-window.js';

/** Every permit with its own time: what the window approximates. */
class NaiveWindow {
  readonly #times: number[] = [];
  used(nowMs: number, windowMs: number): number {
    return this.#times.filter((timeMs) => timeMs > nowMs - windowMs).length;
  }
  record(nowMs: number): void {
    this.#times.push(nowMs);
  }
}

const START_MS = 1_790_000_000_000;
const gapsMs = (max: number) => fc.array(fc.nat(max), { maxLength: 300 });
const traffic = fc.oneof(gapsMs(5), gapsMs(400), gapsMs(3_000), gapsMs(70_000));

describe('SlidingWindow', () => {
  it('never counts less than the last 60 s, nor more than the last 61 s', () => {
    fc.assert(
      fc.property(traffic, (gaps) => {
        const window = new SlidingWindow();
        const naive = new NaiveWindow();
        let nowMs = START_MS;
        for (const gapMs of gaps) {
          nowMs += gapMs;
          const used = window.used(nowMs);
          expect(used).toBeGreaterThanOrEqual(naive.used(nowMs, WINDOW_MS));
          expect(used).toBeLessThanOrEqual(naive.used(nowMs, WINDOW_MS + BUCKET_MS));
          window.record(nowMs);
          naive.record(nowMs);
        }
      }),
    );
  });

  it('is exact to the millisecond when permits are taken a second or more apart', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: BUCKET_MS, max: 20_000 }), { maxLength: 200 }),
        (gaps) => {
          const window = new SlidingWindow();
          const naive = new NaiveWindow();
          let nowMs = START_MS;
          for (const gapMs of gaps) {
            nowMs += gapMs;
            expect(window.used(nowMs)).toBe(naive.used(nowMs, WINDOW_MS));
            window.record(nowMs);
            naive.record(nowMs);
          }
        },
      ),
    );
  });

  it('says to the millisecond when the next permit comes free', () => {
    fc.assert(
      fc.property(traffic, fc.integer({ min: 1, max: 50 }), (gaps, limit) => {
        const window = new SlidingWindow();
        let nowMs = START_MS;
        for (const gapMs of gaps) {
          nowMs += gapMs;
          window.record(nowMs);
        }
        const freesAtMs = window.freesAtMs(nowMs, limit);
        const before = window.used(Math.max(nowMs, freesAtMs - 1));
        if (freesAtMs > nowMs) expect(before).toBeGreaterThanOrEqual(limit);
        expect(window.used(freesAtMs)).toBeLessThan(limit);
      }),
    );
  });

  it('keeps counting when the clock steps back', () => {
    const window = new SlidingWindow();
    window.record(START_MS);
    window.record(START_MS - 30_000);
    expect(window.used(START_MS - 30_000)).toBe(2);
    expect(window.used(START_MS + WINDOW_MS - 1)).toBe(2);
    expect(window.used(START_MS + WINDOW_MS)).toBe(0);
  });
});
