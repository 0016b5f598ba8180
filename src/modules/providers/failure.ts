import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Provider } from '../../domain/routing/provider.js';

/** What an adapter looks at: the status and the closed words of the error, never its message's text as such. */
export interface ProviderError {
  readonly status: number;
  /** The parsed `error` member of the answer, where it could be read. */
  readonly error: unknown;
}

const QUOTA_CODES: ReadonlySet<string> = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'project_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
  'enforced_spend_limit_reached',
  'contract_spend_limit_reached',
]);

const RATE_LIMIT_WORDS: ReadonlySet<string> = new Set([
  'rate_limit_error',
  'rate_limit_exceeded',
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

/** Classes an error answer, or an error event in a stream, by the providers' documented codes. */
export function classifyFailure(provider: Provider, failure: ProviderError): FailureClass {
  const words = wordsOf(failure.error);
  if (failure.status === 402 || words.some((word) => QUOTA_CODES.has(word))) return 'quota';
  if (failure.status === 429) return isDailyQuota(provider, failure) ? 'quota' : 'rate_limit';
  if (failure.status === 401 || words.includes('API_KEY_INVALID')) return 'credential';
  if (words.some((word) => RATE_LIMIT_WORDS.has(word))) return 'rate_limit';
  if (failure.status >= 500 || failure.status === 498 || failure.status === 408) return 'transient';
  if (words.some((word) => TRANSIENT_WORDS.has(word))) return 'transient';
  if (words.includes('context_length_exceeded')) return 'context_too_long';
  if (words.includes('content_filter') || words.includes('content_policy_violation'))
    return 'content_filtered';
  if (failure.status === 404 || failure.status === 403) return 'model_access';
  if (words.includes('model_not_found')) return 'model_access';
  return 'caller_fault';
}

/** Gemini names the quota that was met: one of the day, or one of nothing, does not pass with a minute's wait. */
function isDailyQuota(provider: Provider, failure: ProviderError): boolean {
  if (provider !== 'google') return false;
  return /PerDay|limit: 0\b/.test(JSON.stringify(failure.error ?? null));
}

/** The closed words of an error: `code`, `type`, `status`, `reason`, `error_code`, one level of details down. */
function wordsOf(error: unknown): string[] {
  if (typeof error !== 'object' || error === null) return [];
  const { code, type, status, details } = error as Record<string, unknown>;
  const inner = Array.isArray(details) ? details.slice(0, 8) : [details];
  const nested = inner.flatMap((detail) => {
    if (typeof detail !== 'object' || detail === null) return [];
    const { reason, error_code: errorCode } = detail as Record<string, unknown>;
    return [reason, errorCode];
  });
  return [code, type, status, ...nested].filter((word) => typeof word === 'string');
}
