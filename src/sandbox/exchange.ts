import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Directives } from './directives.js';
import type { JsonObject } from './json-value.js';
import type { PrefixMemory } from './prefix-memory.js';

/** One request, read and understood as far as all providers have in common. */
export interface SandboxCall {
  readonly method: string;
  /** Below the provider's prefix, such as `/chat/completions`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Empty for a request without a body. */
  readonly body: JsonObject;
  /** Of everything in the request that decides the answer. */
  readonly digest: string;
  /** A digest too: what was cached for one key is never found with another. */
  readonly keyDigest: string;
  readonly directives: Directives;
  readonly prefixes: PrefixMemory;
}

/** A refusal, in words that all providers share; each renders it in its own envelope. */
export interface Fault {
  readonly kind: 'fault';
  readonly cause: FaultCause;
  readonly message: string;
  /** The member of the request that is at fault, where the envelope has room for it. */
  readonly param?: string;
  /** A code more exact than the cause, where the envelope has room for it. */
  readonly code?: string;
}

export type FaultCause =
  | 'invalid_request'
  | 'credential_missing'
  | 'credential'
  | 'permission'
  | 'model_not_found'
  | 'path_not_found'
  | 'too_large'
  | 'quota'
  | 'rate_limit'
  | 'overloaded'
  | 'context'
  | 'internal';

export interface JsonAnswer {
  readonly kind: 'json';
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: unknown;
}

export interface StreamAnswer {
  readonly kind: 'stream';
  readonly headers: OutgoingHttpHeaders;
  /** What goes over the wire, one event a frame. */
  readonly frames: readonly string[];
  /** What takes the place of the second half when the stream is to fail. */
  readonly errorFrame: string;
}

export type Answer = JsonAnswer | StreamAnswer;

/** What a path leads to. `route` holds no names of models or ids: it labels counts. */
export interface Endpoint {
  readonly route: string;
  readonly answer: (call: SandboxCall) => Answer | Fault;
}

/** One provider's half of the sandbox. */
export interface ProviderSimulation {
  /** The caller's key as this provider takes it; null where there is none. */
  readonly keyOf: (headers: IncomingHttpHeaders, query: URLSearchParams) => string | null;
  readonly endpointOf: (method: string, path: string) => Endpoint | null;
  readonly renderFault: (fault: Fault, requestId: string) => JsonAnswer;
  /** The headers that this provider puts on every answer. */
  readonly standingHeaders: (requestId: string) => OutgoingHttpHeaders;
  readonly requestIdPrefix: string;
}

export function invalid(message: string, param?: string, code?: string): Fault {
  return {
    kind: 'fault',
    cause: 'invalid_request',
    message,
    ...(param === undefined ? {} : { param }),
    ...(code === undefined ? {} : { code }),
  };
}

export function json(body: unknown): JsonAnswer {
  return { kind: 'json', status: 200, headers: {}, body };
}

/** What every stream of server-sent events says it is. */
export const SSE_HEADERS: OutgoingHttpHeaders = Object.freeze({
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
});
