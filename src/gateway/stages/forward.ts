import { Transform, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { BODY_BYTES_MAX, declaredLength } from './read-body.js';
import type { Admitted, Attempt } from '../call.js';

/**
 * Before its first byte an attempt may be given up for another, where the router named one: after so long, for streams
 * and for whole answers. No attempt begins later than so long after the call came in. The last one has the limits of
 * every other call.
 */
export interface FallbackLimits {
  readonly streamedMs: number;
  readonly wholeMs: number;
  readonly withinMs: number;
}

export const FALLBACK_LIMITS: FallbackLimits = {
  streamedMs: 60_000,
  wholeMs: 240_000,
  withinMs: 300_000,
};

/**
 * Limits on the provider, each with its own error code. None is under 600 s: the SDKs' own limits come first.
 */
export interface UpstreamLimits {
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly idleMs: number;
  /** Of calls that may be tried elsewhere; absent, the usual ones. */
  readonly fallback?: FallbackLimits;
}

export const PASSTHROUGH_LIMITS: UpstreamLimits = {
  connectMs: 660_000,
  firstByteMs: 660_000,
  idleMs: 660_000,
};

/** Sends one attempt to its provider; what comes back goes to `handler`. */
export function forward(
  call: Admitted,
  attempt: Attempt,
  handler: Dispatcher.DispatchHandler,
  limits: UpstreamLimits,
): void {
  const { upstream, path, headers } = attempt;
  upstream.pool.dispatch(
    {
      method: (call.req.method ?? 'GET') as Dispatcher.HttpMethod,
      path: upstream.basePath + path,
      headers,
      body: call.payload === null ? streamedBody(call) : call.payload.takeToSend(),
      headersTimeout: limits.firstByteMs,
      bodyTimeout: limits.idleMs,
    },
    handler,
  );
}

function streamedBody(call: Admitted): Readable | null {
  const { req } = call;
  const chunked = req.headers['transfer-encoding'] !== undefined;
  if (!chunked && !(declaredLength(req) > 0)) return null;
  return chunked ? req.pipe(bounded(call.principal.bodyLimitBytes ?? BODY_BYTES_MAX)) : req;
}

/** A body of undeclared length is counted as it passes. */
function bounded(limit: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= limit) done(null, chunk);
      else done(Object.assign(new Error('body over its limit'), { code: 'body_too_large' }));
    },
  });
}
