import { randomUUIDv7 } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { normalisePath } from '../../domain/policy/paths.js';
import { mountEnvelope, recognise, type Envelope } from '../../modules/providers/routes.js';
import type { Arrival } from '../call.js';
import { Refusal, type ErrorCode } from '../gateway-error.js';

/** What is known of a call that gets no further than its path. */
export interface Unrecognised {
  readonly requestId: string;
  readonly envelope: Envelope;
  readonly refusal: Refusal;
}

/** Reads method, path and key; touches neither body nor database. */
export function arrive(req: IncomingMessage, res: ServerResponse): Arrival | Unrecognised {
  const requestId = randomUUIDv7();
  const target = req.url ?? '/';
  const normalised = normalisePath(target);
  if (!normalised.ok) return unrecognised(requestId, target, 'invalid_path');
  if (req.headers.upgrade !== undefined)
    return unrecognised(requestId, target, 'websocket_unsupported');
  const { path, query } = normalised;
  const route = recognise(req.method ?? 'GET', path, {
    anthropicVersion: req.headers['anthropic-version'] !== undefined,
  });
  if (route === null) return unrecognised(requestId, path, 'unknown_path');
  const keyInQuery = route.provider === 'google' && query.includes('key=');
  const forwarded = keyInQuery ? withoutKey(query) : query;
  return {
    req,
    res,
    requestId,
    startedAtMs: timeOf(requestId),
    startedAt: performance.now(),
    route,
    query: forwarded === '' ? '' : `?${forwarded}`,
    token: tokenOf(req, keyInQuery ? query : ''),
  };
}

function unrecognised(requestId: string, path: string, code: ErrorCode): Unrecognised {
  return { requestId, envelope: mountEnvelope(path) ?? 'openai', refusal: new Refusal(code) };
}

/** The first 48 bits of a UUIDv7 are milliseconds since the epoch (RFC 9562, section 5.7). */
function timeOf(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8) + requestId.slice(9, 13), 16);
}

/** The project key, wherever the SDK puts its key. */
function tokenOf(req: IncomingMessage, query: string): string | null {
  const { headers } = req;
  const bearer = headers.authorization;
  if (bearer !== undefined && /^bearer /i.test(bearer)) return bearer.slice(7).trim() || null;
  const header = headers['x-api-key'] ?? headers['x-goog-api-key'];
  if (typeof header === 'string' && header !== '') return header;
  return query === '' ? null : new URLSearchParams(query).get('key');
}

function withoutKey(query: string): string {
  const pairs = query.split('&');
  return pairs.filter((pair) => decodeName(pair) !== 'key').join('&');
}

function decodeName(pair: string): string {
  return [...new URLSearchParams(pair).keys()][0] ?? '';
}
