import type { DirectedError, Directives } from './directives.js';
import type { Fault, FaultCause, JsonAnswer, ProviderSimulation } from './exchange.js';

const BY_ERROR: Readonly<Record<DirectedError, readonly [FaultCause, string]>> = {
  quota: ['quota', 'You exceeded your current quota, please check your plan and billing details.'],
  rate_limit: ['rate_limit', 'Rate limit reached. Please try again later.'],
  overloaded: ['overloaded', 'The service is overloaded. Please try again later.'],
  credential: ['credential', 'Incorrect API key provided.'],
  context: ['context', 'The prompt is longer than the context window of this model.'],
};

const BY_STATUS: ReadonlyMap<number, readonly [FaultCause, string]> = new Map([
  [400, ['invalid_request', 'The request is invalid.']],
  [401, ['credential', 'Incorrect API key provided.']],
  [402, ['quota', 'The account has no credit left.']],
  [403, ['permission', 'This key has no access to what it asked for.']],
  [404, ['model_not_found', 'The model does not exist or you do not have access to it.']],
  [413, ['too_large', 'The request is too large.']],
  [429, ['rate_limit', 'Rate limit reached. Please try again later.']],
  [503, ['overloaded', 'The service is overloaded. Please try again later.']],
  [529, ['overloaded', 'The service is overloaded. Please try again later.']],
]);

/** The error that the caller asked for, in the provider's envelope; null where none was asked for. */
export function directedFault(
  directives: Directives,
  provider: ProviderSimulation,
  requestId: string,
): JsonAnswer | null {
  const fault = faultOf(directives);
  if (fault === null) return null;
  const rendered = provider.renderFault(fault, requestId);
  const headers = { ...rendered.headers };
  if (directives.retryAfterS !== undefined) headers['retry-after'] = String(directives.retryAfterS);
  return { ...rendered, status: directives.status ?? rendered.status, headers };
}

function faultOf(directives: Directives): Fault | null {
  if (directives.error !== undefined) {
    const [cause, message] = BY_ERROR[directives.error];
    return { kind: 'fault', cause, message };
  }
  if (directives.status === undefined) return null;
  const [cause, message] = BY_STATUS.get(directives.status) ?? ownWords(directives.status);
  return { kind: 'fault', cause, message };
}

function ownWords(status: number): readonly [FaultCause, string] {
  return status < 500
    ? ['invalid_request', 'The request is invalid.']
    : ['internal', 'The server had an error while processing your request.'];
}
