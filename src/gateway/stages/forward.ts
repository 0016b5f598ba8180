import { Transform, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { BODY_BYTES_MAX, declaredLength } from './read-body.js';
import type { Planned } from '../call.js';

/**
 * Limits on the provider, each with its own error code. None is under 600 s: the SDKs' own limits come first.
 */
export interface UpstreamLimits {
  readonly connectMs: number;
  readonly firstByteMs: number;
  readonly idleMs: number;
}

export const PASSTHROUGH_LIMITS: UpstreamLimits = {
  connectMs: 660_000,
  firstByteMs: 660_000,
  idleMs: 660_000,
};

/** Sends the call to the provider; what comes back goes to `relay`. No retry. */
export function forward(
  call: Planned,
  relay: Dispatcher.DispatchHandler,
  limits: UpstreamLimits,
): void {
  const { upstream, route, req } = call;
  upstream.pool.dispatch(
    {
      method: (req.method ?? 'GET') as Dispatcher.HttpMethod,
      path: upstream.basePath + route.upstreamPath + call.query,
      headers: call.headers,
      body: call.payload === null ? streamedBody(call) : call.payload.takeToSend(),
      headersTimeout: limits.firstByteMs,
      bodyTimeout: limits.idleMs,
    },
    relay,
  );
}

function streamedBody(call: Planned): Readable | null {
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
