import { expect, test } from 'vitest';
import { parseTime, periodOf } from './report-period.js';

const NOW = Date.UTC(2026, 10, 21);
const DAY_MS = 86_400_000;

test.each([
  ['2026-11-01', '2026-11-01T00:00:00.000Z'],
  ['2024-02-29', '2024-02-29T00:00:00.000Z'],
  // On whatever clock the server lives.
  ['2026-11-01T10:00', '2026-11-01T10:00:00.000Z'],
  ['2026-11-01T10:00:30.5Z', '2026-11-01T10:00:30.500Z'],
  ['2026-11-01T10:00+02:00', '2026-11-01T08:00:00.000Z'],
])('%s is %s', (text, time) => {
  expect(new Date(parseTime(text) ?? Number.NaN).toISOString()).toBe(time);
});

test.each(['', 'May', '5', '2026-11', '2026-02-30', '2026-13-01', '2026-11-01T25:00', '1969-12-31', '-1'])(
  '"%s" is no time of a report',
  (text) => expect(parseTime(text)).toBeNull(),
); // prettier-ignore

test('a period is the last 30 days unless it is said, ends after it begins, and has at most 400 days', () => {
  expect(periodOf(null, null, NOW)).toEqual({ fromMs: NOW - 30 * DAY_MS, toMs: NOW });
  expect(periodOf(0, DAY_MS, NOW)).toEqual({ fromMs: 0, toMs: DAY_MS });
  expect(periodOf(5, 5, NOW)).toBe('not_before');
  expect(periodOf(0, 400 * DAY_MS, NOW)).toEqual({ fromMs: 0, toMs: 400 * DAY_MS });
  expect(periodOf(0, 400 * DAY_MS + 1, NOW)).toBe('too_long');
});
