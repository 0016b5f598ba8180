import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Provider } from '../../domain/routing/provider.js';

/** What an adapter looks at: the status and the closed words of the error; its message only for a few fixed phrases. */
export interface ProviderError {
  /** Under 400 for an error that came in a stream after its 200. */
  readonly status: number;
  /** The parsed `error` member of the answer, where it could be read. */
  readonly error: unknown;
  /** The answer's `x-should-retry`: the provider's own word on whether the same call may succeed later. */
  readonly shouldRetry?: boolean | null;
}

const QUOTA_WORDS: ReadonlySet<string> = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_error',
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'project_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
  'enforced_spend_limit_reached',
  'contract_spend_limit_reached',
]);

const CREDENTIAL_WORDS: ReadonlySet<string> = new Set([
  'API_KEY_INVALID',
  'authentication_error',
  'invalid_api_key',
  'UNAUTHENTICATED',
]);

const RATE_LIMIT_WORDS: ReadonlySet<string> = new Set([
  'rate_limit_error',
  'rate_limit_exceeded',
  'ramp_limit_exceeded',
  'slow_down',
  'RESOURCE_EXHAUSTED',
]);

const TRANSIENT_WORDS: ReadonlySet<string> = new Set([
  'overloaded_error',
  'api_error',
  'server_error',
  'server_is_overloaded',
  'timeout_error',
  'UNAVAILABLE',
  'INTERNAL',
  'DEADLINE_EXCEEDED',
]);

const FILTER_WORDS: ReadonlySet<string> = new Set([
  'content_filter',
  'content_policy_violation',
  'image_content_policy_violation',
]);

const ACCESS_WORDS: ReadonlySet<string> = new Set([
  'model_not_found',
  'not_found_error',
  'permission_error',
  'PERMISSION_DENIED',
  'NOT_FOUND',
  // Gemini's for a region or an account that may not use it.
  'FAILED_PRECONDITION',
]);

const CALLER_WORDS: ReadonlySet<string> = new Set([
  'invalid_request_error',
  'request_too_large',
  'INVALID_ARGUMENT',
  'unsupported_value',
  'unsupported_parameter',
  'invalid_prompt',
  'tool_use_failed',
  'json_validate_failed',
]);

/** Where a provider says it in its message alone. */
const CONTEXT_PHRASES: Readonly<Record<Provider, RegExp | null>> = {
  openai: null,
  anthropic: /prompt is too long: \d+ tokens/,
  google: /input token count[^.]{0,40} exceeds the maximum|input context is too long/,
  groq: null,
};
/** Anthropic's answer to a limit that the customer has set for itself, a 400 as any other. */
const OWN_LIMIT_PHRASE = /specified API usage limits/;
const MESSAGE_CHARS_MAX = 512;

/** Classes an error answer, or an error event in a stream, by the providers' documented codes. */
export function classifyFailure(provider: Provider, failure: ProviderError): FailureClass {
  const { error } = failure;
  const status = statusOf(failure);
  const words = wordsOf(error);
  const says = (some: ReadonlySet<string>): boolean => words.some((word) => some.has(word));
  if (status === 402 || says(QUOTA_WORDS)) return 'quota';
  if (provider === 'anthropic' && OWN_LIMIT_PHRASE.test(messageOf(error))) return 'quota';
  if (status === 429) return isLastingQuota(provider, error) ? 'quota' : 'rate_limit';
  if (status === 401 || says(CREDENTIAL_WORDS)) return 'credential';
  if (isContext(provider, words, error)) return 'context_too_long';
  // Too large for a limit is too large at any time.
  if (status === 413) return 'caller_fault';
  if (says(RATE_LIMIT_WORDS)) return isLastingQuota(provider, error) ? 'quota' : 'rate_limit';
  if (says(FILTER_WORDS)) return 'content_filtered';
  if (status >= 500 || status === 498 || status === 408) return 'transient';
  if (says(TRANSIENT_WORDS)) return 'transient';
  if (status === 403 || status === 404 || says(ACCESS_WORDS)) return 'model_access';
  if (says(CALLER_WORDS)) return 'caller_fault';
  // A stream that had begun, and an answer that asks to be tried again, are not the request's fault.
  return status < 400 || failure.shouldRetry === true ? 'transient' : 'caller_fault';
}

/** Gemini's and others' numeric code stands for the status where the answer had begun with 200. */
function statusOf({ status, error }: ProviderError): number {
  if (status >= 400) return status;
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'number' && code >= 400 && code < 600 ? code : status;
}

function isContext(provider: Provider, words: readonly string[], error: unknown): boolean {
  if (words.includes('context_length_exceeded')) return true;
  return CONTEXT_PHRASES[provider]?.test(messageOf(error)) ?? false;
}

/** Gemini names the quota that was met: one of the day, or one of nothing, does not pass with a minute's wait. */
function isLastingQuota(provider: Provider, error: unknown): boolean {
  if (provider !== 'google') return false;
  if (/limit: 0\b/.test(messageOf(error))) return true;
  return detailsOf(error).some(({ violations }) => {
    if (!Array.isArray(violations)) return false;
    return violations.slice(0, DETAILS_MAX).some((violation) => {
      const { quotaId, quotaValue } = (violation ?? {}) as Record<string, unknown>;
      const isOfTheDay = typeof quotaId === 'string' && quotaId.includes('PerDay');
      return isOfTheDay || quotaValue === '0';
    });
  });
}

/** The closed words of an error: `code`, `type`, `status`, `reason`, `error_code`, one level of details down. */
function wordsOf(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { code, type, status } = error as Record<string, unknown>;
  const nested = detailsOf(error).flatMap(({ reason, error_code: errorCode }) => [
    reason,
    errorCode,
  ]);
  return [code, type, status, ...nested].filter((word) => typeof word === 'string');
}

const DETAILS_MAX = 8;

function detailsOf(error: unknown): Record<string, unknown>[] {
  const details = (error as { details?: unknown } | null | undefined)?.details;
  const list: unknown[] = Array.isArray(details) ? details.slice(0, DETAILS_MAX) : [details];
  return list.filter(
    (detail): detail is Record<string, unknown> => typeof detail === 'object' && detail !== null,
  );
}

function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message.slice(0, MESSAGE_CHARS_MAX) : '';
}
