import { describe, expect, it } from 'vitest';
import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Provider } from '../../domain/routing/provider.js';
import { classifyFailure } from './failure.js';

type Row = readonly [Provider, number, unknown, FailureClass];

const gemini = (code: number, status: string, details: unknown[] = [], message = '') => ({
  code,
  status,
  message,
  details,
});
const quotaFailure = (quotaId: string, more: object = {}) => ({
  '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
  violations: [{ quotaId, ...more }],
});
const errorCode = (type: string, code: string) => ({
  type,
  message: 'x',
  details: { error_code: code },
});

/** The table of the providers' documented errors, row by row. */
const ANSWERS: Readonly<Record<string, readonly Row[]>> = {
  'a fault of the caller': [
    ['openai', 400, { type: 'invalid_request_error', code: null }, 'caller_fault'],
    ['openai', 400, { type: 'invalid_request_error', code: 'unsupported_value' }, 'caller_fault'],
    ['openai', 400, { code: 'unsupported_parameter' }, 'caller_fault'],
    ['anthropic', 400, { type: 'invalid_request_error', message: 'x' }, 'caller_fault'],
    ['anthropic', 413, { type: 'request_too_large' }, 'caller_fault'],
    ['anthropic', 422, { type: 'invalid_request_error' }, 'caller_fault'],
    ['anthropic', 431, undefined, 'caller_fault'],
    ['google', 400, gemini(400, 'INVALID_ARGUMENT'), 'caller_fault'],
    ['groq', 400, { type: 'invalid_request_error', code: 'tool_use_failed' }, 'caller_fault'],
    ['groq', 400, { code: 'json_validate_failed', failed_generation: '{' }, 'caller_fault'],
    ['groq', 413, { type: 'tokens', code: 'rate_limit_exceeded' }, 'caller_fault'],
    ['groq', 422, undefined, 'caller_fault'],
  ],
  'a bad credential': [
    ['openai', 401, { code: 'invalid_api_key' }, 'credential'],
    ['anthropic', 401, { type: 'authentication_error' }, 'credential'],
    ['google', 400, gemini(400, 'INVALID_ARGUMENT', [{ reason: 'API_KEY_INVALID' }]), 'credential'],
    ['groq', 401, { code: 'invalid_api_key' }, 'credential'],
  ],
  'no access, or no such model': [
    ['openai', 403, { code: 'unsupported_country_region_territory' }, 'model_access'],
    ['openai', 404, { code: 'model_not_found' }, 'model_access'],
    ['anthropic', 403, { type: 'permission_error' }, 'model_access'],
    ['anthropic', 404, { type: 'not_found_error' }, 'model_access'],
    ['google', 403, gemini(403, 'PERMISSION_DENIED'), 'model_access'],
    ['google', 404, gemini(404, 'NOT_FOUND'), 'model_access'],
    ['google', 400, gemini(400, 'FAILED_PRECONDITION'), 'model_access'],
    ['groq', 403, undefined, 'model_access'],
    ['groq', 404, { code: 'model_not_found' }, 'model_access'],
  ],
  'quota or billing': [
    ...[
      'insufficient_quota',
      'billing_hard_limit_reached',
      'credit_balance_exhausted',
      'organization_spend_limit_exceeded',
      'project_spend_limit_exceeded',
      'organization_usage_limit_exceeded',
    ].map((code): Row => ['openai', 429, { type: 'insufficient_quota', code }, 'quota']),
    ['openai', 429, { type: 'requests', code: 'insufficient_quota' }, 'quota'],
    ['anthropic', 402, { type: 'billing_error' }, 'quota'],
    [
      'anthropic',
      400,
      {
        type: 'invalid_request_error',
        message: 'You have reached your specified API usage limits. You will regain access on ...',
      },
      'quota',
    ],
    ['anthropic', 429, errorCode('rate_limit_error', 'enforced_spend_limit_reached'), 'quota'],
    ['anthropic', 429, errorCode('rate_limit_error', 'contract_spend_limit_reached'), 'quota'],
    ['google', 402, gemini(402, 'RESOURCE_EXHAUSTED'), 'quota'],
    [
      'google',
      429,
      gemini(429, 'RESOURCE_EXHAUSTED', [quotaFailure('GenerateRequestsPerDayPerProject')]),
      'quota',
    ],
    [
      'google',
      429,
      gemini(429, 'RESOURCE_EXHAUSTED', [], 'You exceeded your quota. limit: 0, model: gemini'),
      'quota',
    ],
  ],
  'a rate limit': [
    ['openai', 429, { type: 'tokens', code: 'rate_limit_exceeded' }, 'rate_limit'],
    ['openai', 429, { code: 'slow_down' }, 'rate_limit'],
    ['openai', 503, { code: 'slow_down' }, 'rate_limit'],
    ['anthropic', 429, { type: 'rate_limit_error' }, 'rate_limit'],
    ['anthropic', 429, errorCode('rate_limit_error', 'ramp_limit_exceeded'), 'rate_limit'],
    [
      'google',
      429,
      gemini(429, 'RESOURCE_EXHAUSTED', [
        quotaFailure('GenerateRequestsPerMinutePerProject'),
        { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '46s' },
      ]),
      'rate_limit',
    ],
    ['groq', 429, { type: 'requests', code: 'rate_limit_exceeded' }, 'rate_limit'],
    ['groq', 429, undefined, 'rate_limit'],
  ],
  'the provider’s own trouble': [
    ['openai', 503, { code: 'server_is_overloaded' }, 'transient'],
    ['openai', 500, { type: 'server_error' }, 'transient'],
    ['openai', 408, undefined, 'transient'],
    ['anthropic', 529, { type: 'overloaded_error' }, 'transient'],
    ['anthropic', 500, { type: 'api_error' }, 'transient'],
    ['anthropic', 504, { type: 'timeout_error' }, 'transient'],
    ['google', 503, gemini(503, 'UNAVAILABLE'), 'transient'],
    ['google', 500, gemini(500, 'INTERNAL'), 'transient'],
    ['google', 504, gemini(504, 'DEADLINE_EXCEEDED'), 'transient'],
    ['groq', 498, { type: 'flex_tier_capacity_exceeded' }, 'transient'],
    ['groq', 500, undefined, 'transient'],
    ['groq', 502, undefined, 'transient'],
    ['groq', 503, '<html>', 'transient'],
  ],
  'a context that is too long': [
    ['openai', 400, { code: 'context_length_exceeded' }, 'context_too_long'],
    [
      'anthropic',
      400,
      { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000' },
      'context_too_long',
    ],
    [
      'google',
      400,
      gemini(
        400,
        'INVALID_ARGUMENT',
        [],
        'The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).',
      ),
      'context_too_long',
    ],
    [
      'google',
      500,
      gemini(500, 'INTERNAL', [], 'Your input context is too long.'),
      'context_too_long',
    ],
    ['groq', 400, { code: 'context_length_exceeded' }, 'context_too_long'],
    ['groq', 413, { code: 'context_length_exceeded' }, 'context_too_long'],
  ],
  'a content filter': [
    ['openai', 400, { code: 'content_filter' }, 'content_filtered'],
    ['openai', 400, { code: 'content_policy_violation' }, 'content_filtered'],
  ],
};

/** What comes as an event after the stream has begun with 200. */
const EVENTS: readonly Row[] = [
  ['openai', 200, { type: 'server_error', code: 'server_error' }, 'transient'],
  ['openai', 200, { code: 'rate_limit_exceeded', message: 'x' }, 'rate_limit'],
  ['openai', 200, { code: 'insufficient_quota' }, 'quota'],
  ['openai', 200, { code: 'invalid_prompt' }, 'caller_fault'],
  ['openai', 200, { code: 'context_length_exceeded' }, 'context_too_long'],
  ['anthropic', 200, { type: 'overloaded_error', message: 'Overloaded' }, 'transient'],
  ['anthropic', 200, { type: 'api_error' }, 'transient'],
  ['anthropic', 200, { type: 'rate_limit_error' }, 'rate_limit'],
  ['anthropic', 200, { type: 'invalid_request_error' }, 'caller_fault'],
  ['google', 200, gemini(503, 'UNAVAILABLE'), 'transient'],
  ['google', 200, { code: 500 }, 'transient'],
  ['google', 200, gemini(429, 'RESOURCE_EXHAUSTED'), 'rate_limit'],
  ['google', 200, gemini(400, 'INVALID_ARGUMENT'), 'caller_fault'],
  ['groq', 200, { code: 'tool_use_failed' }, 'caller_fault'],
  ['groq', 200, { message: 'something broke' }, 'transient'],
  ['groq', 200, 'something broke', 'transient'],
];

describe.each(Object.entries(ANSWERS))('%s', (_name, rows) => {
  it.each(rows)('%s %i %j: %s', (provider, status, error, expected) =>
    expect(classifyFailure(provider, { status, error })).toBe(expected),
  );
});

describe('an error event within a stream', () => {
  it.each(EVENTS)('%s %i %j: %s', (provider, status, error, expected) =>
    expect(classifyFailure(provider, { status, error })).toBe(expected),
  );
});

describe('x-should-retry', () => {
  it('makes an unnamed refusal one that passes, as the SDKs take it', () => {
    const conflict = { status: 409, error: undefined };
    expect(classifyFailure('openai', conflict)).toBe('caller_fault');
    expect(classifyFailure('openai', { ...conflict, shouldRetry: true })).toBe('transient');
    expect(classifyFailure('openai', { ...conflict, shouldRetry: false })).toBe('caller_fault');
  });

  it('does not change what the answer names: neither a quota nor a fault of the caller', () => {
    const quota = { status: 429, error: { code: 'insufficient_quota' }, shouldRetry: true };
    expect(classifyFailure('openai', quota)).toBe('quota');
    const fault = { status: 400, error: { type: 'invalid_request_error' }, shouldRetry: true };
    expect(classifyFailure('openai', fault)).toBe('caller_fault');
  });

  it('does not make a 500 the caller’s fault: a provider in trouble may ask for no retries', () => {
    const trouble = { status: 500, error: { type: 'server_error' }, shouldRetry: false };
    expect(classifyFailure('openai', trouble)).toBe('transient');
  });
});
