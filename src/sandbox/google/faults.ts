import type { Fault, FaultCause, JsonAnswer } from '../exchange.js';

interface Rendering {
  readonly status: number;
  readonly word: string;
  readonly details?: readonly object[];
}

const DOMAIN = 'googleapis.com';

const RENDERINGS: Readonly<Record<FaultCause, Rendering>> = {
  invalid_request: { status: 400, word: 'INVALID_ARGUMENT' },
  credential_missing: { status: 403, word: 'PERMISSION_DENIED' },
  credential: {
    status: 400,
    word: 'INVALID_ARGUMENT',
    details: [
      {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: 'API_KEY_INVALID',
        domain: DOMAIN,
        metadata: { service: 'generativelanguage.googleapis.com' },
      },
    ],
  },
  permission: { status: 403, word: 'PERMISSION_DENIED' },
  model_not_found: { status: 404, word: 'NOT_FOUND' },
  path_not_found: { status: 404, word: 'NOT_FOUND' },
  too_large: { status: 413, word: 'INVALID_ARGUMENT' },
  quota: {
    status: 429,
    word: 'RESOURCE_EXHAUSTED',
    details: [quotaFailure('GenerateRequestsPerDayPerProjectPerModel')],
  },
  rate_limit: {
    status: 429,
    word: 'RESOURCE_EXHAUSTED',
    details: [
      quotaFailure('GenerateRequestsPerMinutePerProjectPerModel'),
      { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '1s' },
    ],
  },
  overloaded: { status: 503, word: 'UNAVAILABLE' },
  context: { status: 400, word: 'INVALID_ARGUMENT' },
  internal: { status: 500, word: 'INTERNAL' },
};

function quotaFailure(quotaId: string): object {
  return {
    '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
    violations: [{ quotaMetric: 'generativelanguage.googleapis.com/requests', quotaId }],
  };
}

/** Google's error envelope. */
export function renderGoogleFault(fault: Fault): JsonAnswer {
  const { status, word, details } = RENDERINGS[fault.cause];
  const message =
    fault.cause === 'credential'
      ? 'API key not valid. Please pass a valid API key.'
      : fault.message;
  const error = { code: status, message, status: word, ...(details ? { details } : {}) };
  return { kind: 'json', status, headers: {}, body: { error } };
}
