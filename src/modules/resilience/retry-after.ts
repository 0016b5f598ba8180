/** Headers as undici gives them: names in lower case. */
export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** No longer than this is looked at. */
const HEADER_CHARS_MAX = 64;
const DETAILS_MAX = 8;

const LIMITED_BY: readonly (readonly [remaining: string, reset: string])[] = [
  ['x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests'],
  ['x-ratelimit-remaining-tokens', 'x-ratelimit-reset-tokens'],
  ['anthropic-ratelimit-requests-remaining', 'anthropic-ratelimit-requests-reset'],
  ['anthropic-ratelimit-tokens-remaining', 'anthropic-ratelimit-tokens-reset'],
  ['anthropic-ratelimit-input-tokens-remaining', 'anthropic-ratelimit-input-tokens-reset'],
  ['anthropic-ratelimit-output-tokens-remaining', 'anthropic-ratelimit-output-tokens-reset'],
];

/**
 * How long the provider asks to be left in peace, in milliseconds; null where it does not say.
 *
 * `retry-after-ms`, then `retry-after` (seconds or a date), then Gemini's `RetryInfo.retryDelay`, then the reset of
 * each limit of which nothing remains (`6m0s` at OpenAI and Groq, a date at Anthropic), the latest of them.
 */
export function statedWaitMs(headers: AnswerHeaders, error: unknown, nowMs: number): number | null {
  return (
    positive(Number.parseFloat(text(headers['retry-after-ms']))) ??
    waitOf(text(headers['retry-after']), nowMs) ??
    retryDelay(error) ??
    resetOfExhausted(headers, nowMs)
  );
}

function resetOfExhausted(headers: AnswerHeaders, nowMs: number): number | null {
  const waits = LIMITED_BY.filter(([remaining]) => text(headers[remaining]) === '0')
    .map(([, reset]) => waitOf(text(headers[reset]), nowMs))
    .filter((wait) => wait !== null);
  return waits.length === 0 ? null : Math.max(...waits);
}

/** HTTP's date, and ISO 8601. `Date.parse` alone makes some day or other of a number behind a sign or a word. */
const DATE = /^(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, .* GMT|\d{4}-\d\d-\d\dT.*)$/;

/** Seconds, a duration such as `1h2m3.5s` or `120ms`, or a date. */
function waitOf(value: string, nowMs: number): number | null {
  if (value === '') return null;
  if (/^\d+(?:\.\d+)?$/.test(value)) return positive(Number(value) * 1_000);
  return DATE.test(value) ? positive(Date.parse(value) - nowMs) : durationMs(value);
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function durationMs(value: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(value)) return null;
  let sum = 0;
  for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g))
    sum += Number(number) * (UNITS_MS[unit ?? ''] ?? 0);
  return positive(sum);
}

function retryDelay(error: unknown): number | null {
  const details = (error as { details?: unknown } | null | undefined)?.details;
  if (!Array.isArray(details)) return null;
  for (const detail of details.slice(0, DETAILS_MAX)) {
    const delay = (detail as { retryDelay?: unknown } | null)?.retryDelay;
    if (typeof delay === 'string') return durationMs(delay.slice(0, HEADER_CHARS_MAX));
  }
  return null;
}

function text(header: string | string[] | undefined): string {
  return ((Array.isArray(header) ? header[0] : header) ?? '').trim().slice(0, HEADER_CHARS_MAX);
}

function positive(ms: number): number | null {
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}
