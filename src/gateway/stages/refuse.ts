import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Envelope } from '../../modules/providers/routes.js';
import { errorBody, type Refusal } from '../gateway-error.js';
import { SECURITY_HEADERS } from './answer-headers.js';

/** Answers with an error of Shunt's own, in the shape that the calling SDK parses. */
export function refuse(
  req: IncomingMessage,
  res: ServerResponse,
  call: { readonly requestId: string; readonly envelope: Envelope },
  refusal: Refusal,
): void {
  if (res.destroyed || res.headersSent) return;
  const body = errorBody(call.envelope, refusal.code, call.requestId);
  const headers = [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    ...SECURITY_HEADERS,
    'x-shunt-request-id',
    call.requestId,
    'x-shunt-error',
    refusal.code,
  ];
  if (refusal.retryAfterSeconds !== null)
    headers.push('retry-after', String(refusal.retryAfterSeconds));
  // Stainless SDKs retry by status alone; what will not pass by itself is said not to.
  if (!isTemporary(refusal.status)) headers.push('x-should-retry', 'false');
  // A body that was not read to its end would be taken for the next request; and a replica that ends is not to be
  // called again.
  if ((hasBody(req) && !req.complete) || refusal.code === 'shutting_down') {
    headers.push('connection', 'close');
  }
  res.writeHead(refusal.status, headers);
  res.end(body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isTemporary(status: number): boolean {
  return status === 429 || status >= 500;
}
