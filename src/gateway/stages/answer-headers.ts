import type { Decision } from '../../modules/records/call-record.js';
import type { Admitted, Attempt } from '../call.js';
import { connectionNames, HOP_BY_HOP } from './hop-by-hop.js';

/** On every response, relayed ones too. */
export const SECURITY_HEADERS: readonly string[] = [
  'x-content-type-options',
  'nosniff',
  'content-security-policy',
  "default-src 'none'; sandbox",
];

/** Hop-by-hop, or spoken for an origin, which to the client is Shunt's own. */
const KEPT_BACK: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'set-cookie',
  'x-content-type-options',
  'content-security-policy',
  'strict-transport-security',
  'alt-svc',
  'clear-site-data',
  'nel',
  'report-to',
]);

type RawHeaders = readonly (Buffer | string)[] | object | null | undefined;

/** The provider's headers as they came, less hop-by-hop ones and cookies; less the length of a body that shrinks. */
export function relayedHeaders(
  raw: RawHeaders,
  connection: string | string[] | undefined,
  shortened: boolean,
): string[] {
  const headers: string[] = [];
  if (!Array.isArray(raw)) return headers;
  const named = connectionNames(connection);
  for (let i = 0; i < raw.length; i += 2) {
    const name = latin1(raw[i] as Buffer | string);
    const lower = name.toLowerCase();
    if (KEPT_BACK.has(lower) || named?.has(lower)) continue;
    if (lower.startsWith('x-shunt-') || lower.startsWith('access-control-')) continue;
    if (shortened && lower === 'content-length') continue;
    headers.push(name, latin1(raw[i + 1] as Buffer | string));
  }
  return headers;
}

/** What answers a call. */
export interface Answering {
  readonly attempt: Attempt;
  readonly decision: Decision;
  readonly synthetic: boolean;
}

/** What Shunt says of the call. */
export function answerHeaders(
  call: Admitted,
  { attempt, decision, synthetic }: Answering,
): string[] {
  const headers = [
    ...SECURITY_HEADERS,
    'x-shunt-request-id',
    call.requestId,
    'x-shunt-decision',
    decision,
    'x-shunt-mode',
    call.mode,
  ];
  if (synthetic) headers.push('x-shunt-synthetic', 'true');
  if (call.model !== null) headers.push('x-shunt-requested-model', headerValue(call.model));
  if (attempt.model !== null) headers.push('x-shunt-served-model', headerValue(attempt.model));
  return headers;
}

const MODEL_LENGTH_MAX = 200;

/** A name that a client chose must not end a header line: everything but visible ASCII is percent-encoded. */
function headerValue(name: string): string {
  const bounded = name.slice(0, MODEL_LENGTH_MAX);
  return /^[\x21-\x7e]*$/.test(bounded) ? bounded : encodeURIComponent(bounded.toWellFormed());
}

function latin1(bytes: Buffer | string): string {
  return typeof bytes === 'string' ? bytes : bytes.toString('latin1');
}
