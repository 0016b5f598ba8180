import { describe, expect, it } from 'vitest';
import { statedWaitMs, type AnswerHeaders } from './retry-after.js';

const NOW = Date.parse('2026-11-20T12:00:00Z');
const gemini = (retryDelay: unknown) => ({
  details: [{ '@type': 'type.googleapis.com/google.rpc.QuotaFailure' }, { retryDelay }],
});

describe('the wait that a provider asks for', () => {
  it.each<[string, AnswerHeaders, unknown, number | null]>([
    ['seconds', { 'retry-after': '20' }, null, 20_000],
    ['an hour of them', { 'retry-after': '3600' }, null, 3_600_000],
    [
      'a number as long as a header may be',
      { 'retry-after': '9'.repeat(64) },
      null,
      Number('9'.repeat(64)) * 1_000,
    ],
    ['fractions of them', { 'retry-after': '0.5' }, null, 500],
    ['a date', { 'retry-after': 'Fri, 20 Nov 2026 12:00:30 GMT' }, null, 30_000],
    ['an older form of it', { 'retry-after': 'Friday, 20-Nov-26 13:00:00 GMT' }, null, 3_600_000],
    ['a date of tomorrow', { 'retry-after': 'Sat, 21 Nov 2026 12:00:00 GMT' }, null, 86_400_000],
    ['milliseconds before seconds', { 'retry-after-ms': '1500', 'retry-after': '9' }, null, 1_500],
    ['Gemini’s delay', {}, gemini('46s'), 46_000],
    ['Gemini’s fractional delay', {}, gemini('1.25s'), 1_250],
    ['the header before the body', { 'retry-after': '3' }, gemini('46s'), 3_000],
    [
      'OpenAI’s reset of what is used up',
      {
        'x-ratelimit-remaining-requests': '10',
        'x-ratelimit-reset-requests': '1h',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '6m0s',
      },
      null,
      360_000,
    ],
    [
      'the later of two that are used up',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '120ms',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '1m2.5s',
      },
      null,
      62_500,
    ],
    [
      'Anthropic’s reset, a date',
      {
        'anthropic-ratelimit-input-tokens-remaining': '0',
        'anthropic-ratelimit-input-tokens-reset': '2026-11-20T12:01:00Z',
      },
      null,
      60_000,
    ],
    ['nothing where nothing is used up', { 'x-ratelimit-reset-tokens': '6m0s' }, null, null],
    [
      'nothing of a date that is past',
      { 'retry-after': 'Fri, 20 Nov 2026 11:00:00 GMT' },
      {},
      null,
    ],
    ['nothing of nonsense', { 'retry-after': 'soon', 'retry-after-ms': '-5' }, gemini(46), null],
    ['nothing of negative seconds', { 'retry-after': '-5' }, null, null],
    ['nothing of no seconds', { 'retry-after': '0' }, null, null],
    ['nothing of what is a year to a lenient reader', { 'retry-after': 'later 9999' }, null, null],
    ['nothing of a date that is none', { 'retry-after': 'Fri, 99 Nov 2026 GMT' }, null, null],
    ['nothing of nothing', {}, undefined, null],
    ['nothing of a body that is no object', {}, 'overloaded', null],
  ])('%s', (_name, headers, error, expected) =>
    expect(statedWaitMs(headers, error, NOW)).toBe(expected),
  );
});
