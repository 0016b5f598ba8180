import { randomUUIDv7 } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { normalisePath } from '../../domain/policy/paths.js';
import { recognise, unrecognisedRoute } from '../../modules/providers/routes.js';
import type { Arrival } from '../call.js';
import { Refusal } from '../gateway-error.js';

/** Others have no meaning to a provider's API; TRACE would echo its key. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);

/** Reads method, path and key; touches neither body nor database. */
export function arrive(req: IncomingMessage, res: ServerResponse): Arrival {
  const requestId = randomUUIDv7();
  const target = req.url ?? '/';
  const normalised = normalisePath(target);
  const path = normalised.ok ? normalised.path : target;
  const query = normalised.ok ? normalised.query : '';
  const known = normalised.ok
    ? recognise(req.method ?? 'GET', path, {
        anthropicVersion: req.headers['anthropic-version'] !== undefined,
      })
    : null;
  const route = known ?? unrecognisedRoute(path);
  const isGoogle = route.provider === 'google' && query !== '';
  const forwarded = isGoogle ? withoutKey(query) : query;
  return {
    req,
    res,
    requestId,
    startedAtMs: timeOf(requestId),
    startedAt: performance.now(),
    route,
    fault: faultOf(req, normalised.ok, known !== null),
    query: forwarded === '' ? '' : `?${forwarded}`,
    token: tokenOf(req, isGoogle ? query : ''),
  };
}

/** What is wrong with a call that its caller, once known, is told of. */
function faultOf(req: IncomingMessage, isNormal: boolean, isKnown: boolean): Refusal | null {
  if (!isNormal) return new Refusal('invalid_path');
  if (/websocket/i.test(req.headers.upgrade ?? '')) return new Refusal('websocket_unsupported');
  if (!METHODS.has(req.method ?? '')) return new Refusal('method_not_allowed');
  if (!isKnown) return new Refusal('unknown_path');
  // Any other coding would be taken off by nobody: Node only takes the chunks apart.
  const coding = req.headers['transfer-encoding'];
  return coding === undefined || coding.toLowerCase() === 'chunked'
    ? null
    : new Refusal('unsupported_encoding');
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
