import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  OBSERVATION_STEPS,
  dueAtMs,
  dueSteps,
  nextDueAtMs,
  refusalToExtend,
  windowFrom,
  type ObservationStep,
  type StepRecord,
  type StepRecords,
} from './funnel.js';

const DAY = 24 * 60 * 60 * 1000;
const START = 1_767_600_000_000;
const window = windowFrom(START);
const at = (day: number): number => START + day * DAY;

interface Event {
  readonly day: number;
  readonly step: ObservationStep;
  readonly outcome: StepRecord['outcome'];
}

/** What a job that runs at these times makes of a window. */
function play(days: readonly number[], decidedOnDay = Infinity): Event[] {
  const done: Partial<Record<ObservationStep, StepRecord>> = {};
  const events: Event[] = [];
  for (const day of days) {
    for (const step of OBSERVATION_STEPS) {
      const seen = { ...window, hasDecided: day >= decidedOnDay };
      const verdict = dueSteps(seen, done, at(day)).get(step);
      if (verdict === undefined || verdict.kind === 'wait') continue;
      const outcome = verdict.kind === 'run' ? 'done' : 'skipped';
      done[step] = { outcome, atMs: at(day) };
      events.push({ day, step, outcome });
    }
  }
  return events;
}

const runs = (events: readonly Event[]): [number, ObservationStep][] =>
  events.filter(({ outcome }) => outcome === 'done').map(({ day, step }) => [day, step]);

test('each step comes on its day', () => {
  const days = Array.from({ length: 30 }, (_, day) => day);
  expect(runs(play(days))).toEqual([
    [7, 'interim_report'],
    [11, 'reminder_three_days'],
    [13, 'reminder_one_day'],
    [14, 'conversion_report'],
    [14, 'close_window'],
    [17, 'reminder_after_end'],
  ]);
});

test('after an outage only what is still true is said', () => {
  expect(play([5, 20, 21, 22, 23])).toEqual([
    { day: 20, step: 'interim_report', outcome: 'skipped' },
    { day: 20, step: 'reminder_three_days', outcome: 'skipped' },
    { day: 20, step: 'reminder_one_day', outcome: 'skipped' },
    { day: 20, step: 'conversion_report', outcome: 'done' },
    { day: 20, step: 'close_window', outcome: 'done' },
    { day: 23, step: 'reminder_after_end', outcome: 'done' },
  ]);
  expect(runs(play([6, 9]))).toEqual([[9, 'interim_report']]);
  expect(runs(play([10, 13.5]))).toEqual([
    [10, 'interim_report'],
    [13.5, 'reminder_one_day'],
  ]);
  expect(play([14, 40]).at(-1)).toEqual({
    day: 40,
    step: 'reminder_after_end',
    outcome: 'skipped',
  });
});

test('who has decided is left alone, whatever was still to come', () => {
  const events = play([7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], 10);
  expect(runs(events)).toEqual([[7, 'interim_report']]);
  expect(events.slice(1).every(({ day, outcome }) => day === 10 && outcome === 'skipped')).toBe(
    true,
  );
});

const times = fc
  .array(fc.double({ min: 0, max: 60, noNaN: true }), { maxLength: 40 })
  .map((days) => days.toSorted((a, b) => a - b));

test('whenever the job runs: each step at most once, none early, none stale, in order', () => {
  fc.assert(
    fc.property(times, (days) => {
      const events = play(days);
      expect(new Set(events.map(({ step }) => step)).size).toBe(events.length);
      const said = runs(events);
      for (const [day, step] of said) {
        expect(at(day)).toBeGreaterThanOrEqual(dueAtMs(step, window));
        if (step === 'interim_report') expect(day).toBeLessThan(11);
        if (step === 'reminder_three_days') expect(day).toBeLessThan(13);
        if (step === 'reminder_one_day') expect(day).toBeLessThan(14);
      }
      const order = said.map(([, step]) => OBSERVATION_STEPS.indexOf(step));
      expect(order).toEqual(order.toSorted((a, b) => a - b));
      // One mail at a time: the close sends none of its own kind.
      const mails = said.filter(([, step]) => step !== 'close_window').map(([day]) => day);
      expect(new Set(mails).size).toBe(mails.length);
    }),
  );
});

test('a job that runs once after the end has reported and closed', () => {
  fc.assert(
    fc.property(times, fc.double({ min: 14, max: 400, noNaN: true }), (days, last) => {
      const said = runs(play([...days.filter((day) => day < last), last])).map(([, step]) => step);
      expect(said).toEqual(expect.arrayContaining(['conversion_report', 'close_window']));
    }),
  );
});

test('the next time to look is when a verdict changes, and looking earlier changes nothing', () => {
  const some = fc.subarray([...OBSERVATION_STEPS]);
  const moment = fc.double({ min: 0, max: 60, noNaN: true });
  fc.assert(
    fc.property(some, moment, (over, day) => {
      const done: StepRecords = Object.fromEntries(
        over.map((step) => [step, { outcome: 'done', atMs: dueAtMs(step, window) }]),
      );
      const next = nextDueAtMs(window, done);
      const verdicts = [...dueSteps(window, done, at(day)).values()];
      expect(next === null).toBe(verdicts.length === 0);
      const isIdle = verdicts.every(({ kind }) => kind === 'wait');
      expect(isIdle).toBe(next === null || at(day) < next);
    }),
  );
});

test('a window moves only while it is open, to a time ahead and not too far', () => {
  const refusal = (endDay: number, nowDay: number, done: StepRecords = {}, isObserving = true) =>
    refusalToExtend(window, done, isObserving, at(endDay), at(nowDay));
  expect(refusal(30, 3)).toBeNull();
  expect(refusal(4, 3)).toBeNull();
  expect(refusal(3, 3)).toBe('ends_in_the_past');
  expect(refusal(93, 3)).toBeNull();
  expect(refusal(93.1, 3)).toBe('ends_too_late');
  expect(refusal(30, 3, {}, false)).toBe('not_observing');
  const reported = { conversion_report: { outcome: 'done', atMs: at(14) } } as const;
  expect(refusal(30, 15, reported)).toBe('observation_over');
  expect(refusalToExtend({ ...window, hasDecided: true }, {}, true, at(30), at(3))).toBe(
    'already_decided',
  );
});
