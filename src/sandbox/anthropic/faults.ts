import type { Fault, FaultCause, JsonAnswer } from '../exchange.js';

interface Rendering {
  readonly status: number;
  readonly type: string;
  readonly errorCode?: string;
}

const RENDERINGS: Readonly<Record<FaultCause, Rendering>> = {
  invalid_request: { status: 400, type: 'invalid_request_error' },
  credential_missing: { status: 401, type: 'authentication_error' },
  credential: { status: 401, type: 'authentication_error' },
  permission: { status: 403, type: 'permission_error' },
  model_not_found: { status: 404, type: 'not_found_error' },
  path_not_found: { status: 404, type: 'not_found_error' },
  too_large: { status: 413, type: 'request_too_large' },
  quota: { status: 402, type: 'billing_error' },
  rate_limit: { status: 429, type: 'rate_limit_error' },
  overloaded: { status: 529, type: 'overloaded_error' },
  context: { status: 400, type: 'invalid_request_error' },
  internal: { status: 500, type: 'api_error' },
};

/** Anthropic's error envelope. */
export function renderAnthropicFault(fault: Fault, requestId: string): JsonAnswer {
  const { status, type } = RENDERINGS[fault.cause];
  const body = {
    type: 'error',
    error: { type, message: wording(fault), details: null },
    request_id: requestId,
  };
  // Rate limits say when to come back; an exhausted account does not.
  const headers = fault.cause === 'rate_limit' ? { 'retry-after': '1' } : {};
  return { kind: 'json', status, headers, body };
}

function wording(fault: Fault): string {
  if (fault.cause === 'context') return 'prompt is too long: 1000001 tokens > 1000000 maximum';
  if (fault.cause === 'overloaded') return 'Overloaded';
  if (fault.cause === 'credential') return 'invalid x-api-key';
  return fault.message;
}
