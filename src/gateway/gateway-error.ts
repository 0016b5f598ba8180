import type { Envelope } from '../modules/providers/routes.js';

/** Every error that Shunt itself answers with: its HTTP status and its public words. Codes are stable. */
export const ERRORS = {
  missing_key: [
    401,
    "No Shunt project key was sent. Set your SDK's API key to a Shunt project key.",
  ],
  unknown_key: [401, 'This is not a Shunt project key. Check the key that your SDK was given.'],
  revoked_key: [401, 'This Shunt project key was revoked or has expired. Use a current one.'],
  key_check_unavailable: [
    503,
    'This key cannot be checked at the moment. Try again in a few seconds.',
  ],
  organization_suspended: [
    403,
    'This organization is suspended. Its owner can ask the operator why.',
  ],
  project_disabled: [
    403,
    'This project is disabled. An owner or admin of the organization can enable it.',
  ],
  provider_not_allowed: [
    403,
    'This provider is not on the allow-list of the organization or project.',
  ],
  model_not_allowed: [403, 'This model is not on the allow-list of the organization or project.'],
  model_unreadable: [
    403,
    'A model allow-list is in force and the request does not name its model unambiguously.',
  ],
  path_not_allowed: [403, "This path is not on the project's path allow-list."],
  provider_key_missing: [
    403,
    'The organization has no key for this provider. Add one: npm run shunt -- provider-keys set',
  ],
  rate_limit_exceeded: [
    429,
    "The organization's limit of calls per minute is reached. Try again later.",
  ],
  method_not_allowed: [405, 'Shunt takes GET, HEAD, POST, PUT, PATCH and DELETE.'],
  unknown_path: [404, 'Shunt has no such path. See the README for the base URL of each SDK.'],
  invalid_path: [
    400,
    'The path is not in its normal form: no dot segments, encoded separators or empty segments.',
  ],
  websocket_unsupported: [426, 'WebSocket and Realtime connections are not supported.'],
  tls_required: [403, 'Plain HTTP is refused in production. Call Shunt over https.'],
  body_too_large: [413, 'The request body is over the limit.'],
  body_incomplete: [400, 'The request body ended early.'],
  unsupported_encoding: [
    415,
    'The content-encoding is not supported: use gzip, deflate, br, zstd or none.',
  ],
  invalid_encoding: [400, 'The request body cannot be decoded as its content-encoding says.'],
  invalid_utf8: [400, 'The request body is not valid UTF-8.'],
  invalid_json: [400, 'The request body is not a JSON object.'],
  body_too_deep: [400, 'The request body is nested too deeply.'],
  default_model_missing: [
    400,
    'shunt/auto needs a default model: an owner or admin sets it in the settings of the project.',
  ],
  default_model_elsewhere: [
    400,
    "shunt/auto stands for the project's default model, which is another provider's: call that one, or name a model.",
  ],
  override_invalid: [400, 'x-shunt-model is not the name of one model.'],
  model_not_replaceable: [
    400,
    'The model cannot be replaced: the request does not name it exactly once.',
  ],
  model_missing: [400, 'The request body does not name a model.'],
  upstream_connect_timeout: [504, 'The provider could not be reached in time.'],
  upstream_first_byte_timeout: [504, 'The provider did not begin to answer in time.'],
  upstream_idle_timeout: [504, 'The provider stopped answering in the middle of its answer.'],
  upstream_unreachable: [502, 'The provider could not be reached.'],
  upstream_closed: [502, 'The provider closed the connection before it answered.'],
  upstream_garbled: [502, "The provider's answer is not valid HTTP."],
  client_stalled: [499, 'The client stopped reading the answer.'],
  overloaded: [503, 'This replica holds as many request bodies as it can. Try again in a moment.'],
  shutting_down: [503, 'This replica is shutting down. Try again.'],
  internal: [500, 'Shunt failed to handle this call. The request id tells the operator which one.'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type ErrorCode = keyof typeof ERRORS;

/** A call that Shunt does not carry out, as a value. */
export class Refusal {
  constructor(
    readonly code: ErrorCode,
    /** Seconds, for `retry-after`. */
    readonly retryAfterSeconds: number | null = null,
  ) {}

  get status(): number {
    return ERRORS[this.code][0];
  }
}

/** The body of an error in the shape that the calling SDK parses (formats: providers' error documentation). */
export function errorBody(envelope: Envelope, code: ErrorCode, requestId: string): string {
  return JSON.stringify(errorValue(envelope, code, requestId));
}

/** The same as an event of a stream that had begun. */
export function errorEvent(envelope: Envelope, code: ErrorCode, requestId: string): string {
  const data = `data: ${errorBody(envelope, code, requestId)}\n\n`;
  return envelope === 'anthropic' ? `event: error\n${data}` : data;
}

function errorValue(envelope: Envelope, code: ErrorCode, requestId: string): unknown {
  const [status, message] = ERRORS[code];
  switch (envelope) {
    case 'openai':
      return { error: { message, type: openaiType(status), param: null, code } };
    case 'anthropic':
      return {
        type: 'error',
        error: { type: anthropicType(status), message, details: { error_code: code } },
        request_id: requestId,
      };
    case 'google':
      return {
        error: { code: status, message, status: googleStatus(status), details: [googleInfo(code)] },
      };
  }
}

function openaiType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

function anthropicType(status: number): string {
  const types: Readonly<Record<number, string>> = {
    401: 'authentication_error',
    403: 'permission_error',
    404: 'not_found_error',
    413: 'request_too_large',
    429: 'rate_limit_error',
    504: 'timeout_error',
  };
  return types[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}

function googleStatus(status: number): string {
  const statuses: Readonly<Record<number, string>> = {
    401: 'UNAUTHENTICATED',
    403: 'PERMISSION_DENIED',
    404: 'NOT_FOUND',
    429: 'RESOURCE_EXHAUSTED',
    500: 'INTERNAL',
    502: 'UNAVAILABLE',
    503: 'UNAVAILABLE',
    504: 'DEADLINE_EXCEEDED',
  };
  return statuses[status] ?? 'INVALID_ARGUMENT';
}

function googleInfo(code: ErrorCode): unknown {
  return {
    '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
    reason: code.toUpperCase(),
    domain: 'shunt',
  };
}
