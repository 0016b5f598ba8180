import type { OutgoingHttpHeaders } from 'node:http';
import type { Fault, FaultCause, JsonAnswer } from '../exchange.js';

interface Rendering {
  readonly status: number;
  readonly type: string;
  readonly code: string | null;
}

const RENDERINGS: Readonly<Record<FaultCause, Rendering>> = {
  invalid_request: { status: 400, type: 'invalid_request_error', code: null },
  credential_missing: { status: 401, type: 'invalid_request_error', code: null },
  credential: { status: 401, type: 'invalid_request_error', code: 'invalid_api_key' },
  permission: { status: 403, type: 'invalid_request_error', code: 'model_not_allowed' },
  model_not_found: { status: 404, type: 'invalid_request_error', code: 'model_not_found' },
  path_not_found: { status: 404, type: 'invalid_request_error', code: null },
  too_large: { status: 413, type: 'invalid_request_error', code: null },
  quota: { status: 429, type: 'insufficient_quota', code: 'insufficient_quota' },
  rate_limit: { status: 429, type: 'requests', code: 'rate_limit_exceeded' },
  overloaded: { status: 503, type: 'server_error', code: 'server_is_overloaded' },
  context: { status: 400, type: 'invalid_request_error', code: 'context_length_exceeded' },
  internal: { status: 500, type: 'server_error', code: null },
};

/** OpenAI's error envelope; Groq's too. */
export function renderOpenAiFault(fault: Fault): JsonAnswer {
  const rendering = RENDERINGS[fault.cause];
  const body = {
    error: {
      message: fault.message,
      type: rendering.type,
      param: fault.param ?? (fault.cause === 'context' ? 'messages' : null),
      code: fault.code ?? rendering.code,
    },
  };
  return { kind: 'json', status: rendering.status, headers: {}, body };
}

/** The error that a chat stream carries after its 200. */
export const CHAT_ERROR_FRAME = `data: ${JSON.stringify({
  error: {
    message: 'The server had an error while processing your request. Sorry about that!',
    type: 'server_error',
    param: null,
    code: null,
  },
})}\n\n`;

/** The limits as OpenAI and Groq report them on every answer. */
export function limitHeaders(): OutgoingHttpHeaders {
  return {
    'x-ratelimit-limit-requests': '10000',
    'x-ratelimit-limit-tokens': '30000000',
    'x-ratelimit-remaining-requests': '9999',
    'x-ratelimit-remaining-tokens': '29999000',
    'x-ratelimit-reset-requests': '6ms',
    'x-ratelimit-reset-tokens': '2ms',
  };
}
