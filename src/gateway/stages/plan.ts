import type { Provider } from '../../domain/routing/provider.js';
import { routesIn } from '../../domain/subscription/status.js';
import type { Principal } from '../../modules/api-keys/principal.js';
import type { Standing } from '../../modules/api-keys/standing.js';
import type { Decision } from '../../modules/records/call-record.js';
import type { Admitted, Planned, Upstream } from '../call.js';
import { inject } from '../body/splice.js';
import { connectionNames, HOP_BY_HOP } from './hop-by-hop.js';

/** What `plan` needs to know of the outside. */
export interface PlanContext {
  upstreamOf(provider: Provider, sandbox: boolean): Upstream;
  /** The provider key in the clear, for this request alone; null where there is none. */
  openKey(principal: Principal, provider: Provider): string | null;
  /** Asked once per call, as late as possible: false once a hold, a switch or the end of the lease has come. */
  mayRoute(standing: Standing): boolean;
}

/** Decides what is sent where. As yet that is always what the client asked for. */
export function plan(call: Admitted, context: PlanContext): Planned {
  const { principal, route } = call;
  const usesSandbox = principal.sandbox && principal.providerKeys[route.provider] === undefined;
  const injection =
    principal.strict || route.provider === 'groq' ? null : (call.facts?.injection ?? null);
  const key = usesSandbox ? SANDBOX_KEY : context.openKey(principal, route.provider);
  if (injection !== null) call.payload!.replace(inject(call.payload!.plain, injection));
  return {
    ...call,
    decision: decide(call, context),
    servedModel: call.model,
    upstream: context.upstreamOf(route.provider, usesSandbox),
    headers: forwardedHeaders(call, key ?? '', injection !== null),
    injected: injection !== null,
  };
}

/** Without evidence the router abstains: the requested model serves. It has a say only in a status that routes. */
function decide({ mode, principal }: Admitted, context: PlanContext): Decision {
  return routesIn(mode) && context.mayRoute(principal.standing) ? 'abstain' : 'passthrough';
}

/** The sandbox asks for a key, as the providers do, and takes any. */
const SANDBOX_KEY = 'sandbox';

/** What is between the client and Shunt alone. */
const KEPT_BACK: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'host',
  'expect',
  'content-length',
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'cookie',
  'forwarded',
  'x-real-ip',
]);

function forwardedHeaders(call: Admitted, key: string, injected: boolean): string[] {
  const { rawHeaders } = call.req;
  const named = connectionNames(call.req.headers.connection);
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (KEPT_BACK.has(name) || name.startsWith('x-shunt-') || name.startsWith('x-forwarded-'))
      continue;
    if (injected && (name === 'accept-encoding' || name === 'content-encoding')) continue;
    if (named?.has(name)) continue;
    headers.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  // The answer must be readable to be metered and to have the added usage taken out again.
  if (injected) headers.push('accept-encoding', 'identity');
  const length = call.payload === null ? call.req.headers['content-length'] : undefined;
  if (length !== undefined) headers.push('content-length', length);
  headers.push(...credential(call, key));
  return headers;
}

/** The provider's key, in the place where the client's SDK put its own. */
function credential(call: Admitted, key: string): [name: string, value: string] {
  const { route, req } = call;
  if (route.envelope === 'google') return ['x-goog-api-key', key];
  if (route.provider === 'anthropic' && req.headers.authorization === undefined)
    return ['x-api-key', key];
  return ['authorization', `Bearer ${key}`];
}
