import type { Target } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Principal } from '../../modules/api-keys/principal.js';
import { CHAT_PATHS } from '../../modules/providers/chat-paths.js';
import { rewritten, spliceModelInPath, type Injection } from '../body/splice.js';
import type { Admitted, Attempt, Upstream } from '../call.js';
import { hasKey, isModelAllowed } from './admit.js';
import { connectionNames, HOP_BY_HOP } from './hop-by-hop.js';
import { spelledLike } from './model-name.js';

/** What an attempt needs to know of the outside. */
export interface AttemptContext {
  upstreamOf(provider: Provider, sandbox: boolean): Upstream;
  /** The provider key in the clear, for this request alone; null where there is none. */
  openKey(principal: Principal, provider: Provider): string | null;
}

/** The model that the call names itself; null where it names none. */
export interface Destination {
  readonly provider: Provider;
  readonly model: string | null;
}

/** Policy once more, for the model that is to serve: whatever chose it, it must be one that may be called. */
export function mayServe(call: Admitted, { provider, model }: Target): boolean {
  return hasKey(call.principal, provider) && isModelAllowed(call.principal, provider, model);
}

/** Makes what is sent where, and puts the body in its place; only the bytes of the model's name change in it. */
export function prepareAttempt(
  call: Admitted,
  { provider, model }: Destination,
  number: number,
  context: AttemptContext,
): Attempt {
  const { principal, route, payload, facts } = call;
  const usesSandbox = principal.sandbox && principal.providerKeys[provider] === undefined;
  const key = usesSandbox ? SANDBOX_KEY : context.openKey(principal, provider);
  const injection = injectionFor(call, provider);
  const inBody =
    model !== call.model && route.pathModel === null ? (facts?.modelSpan ?? null) : null;
  const body =
    payload === null || (inBody === null && injection === null)
      ? null
      : rewritten(
          payload.plain,
          inBody === null || model === null
            ? null
            : { span: inBody, name: spelledLike(facts?.model ?? null, provider, model) },
          injection,
        );
  payload?.replace(body);
  return {
    number,
    provider,
    model,
    upstream: context.upstreamOf(provider, usesSandbox),
    path: pathFor(call, provider, model),
    headers: forwardedHeaders(call, provider, key ?? '', {
      rewritten: body !== null,
      injected: injection !== null,
    }),
    injected: injection !== null,
  };
}

/** Groq reports usage of its own accord. */
function injectionFor({ principal, facts }: Admitted, provider: Provider): Injection | null {
  return principal.strict || provider === 'groq' ? null : (facts?.injection ?? null);
}

function pathFor(call: Admitted, provider: Provider, model: string | null): string {
  const { route, query } = call;
  // Another provider of the same format; a query is the first one's own.
  if (provider !== route.provider) return CHAT_PATHS[provider] ?? route.upstreamPath;
  const isNamedInPath = route.pathModel !== null && model !== null && model !== call.model;
  return (
    (isNamedInPath ? spliceModelInPath(route.upstreamPath, model) : route.upstreamPath) + query
  );
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

/** Meant for the provider that was asked, such as `openai-organization`: none of another one's business. */
const PROVIDERS_OWN = /^(?:openai|anthropic|groq|x-goog|x-groq)-/;

interface Changes {
  readonly rewritten: boolean;
  readonly injected: boolean;
}

function forwardedHeaders(
  call: Admitted,
  provider: Provider,
  key: string,
  changes: Changes,
): string[] {
  const { rawHeaders } = call.req;
  const named = connectionNames(call.req.headers.connection);
  const isElsewhere = provider !== call.route.provider;
  const headers: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (KEPT_BACK.has(name) || name.startsWith('x-shunt-') || name.startsWith('x-forwarded-'))
      continue;
    // What was changed was changed in the inflated body, and goes as it is.
    if (changes.rewritten && name === 'content-encoding') continue;
    if (changes.injected && name === 'accept-encoding') continue;
    if (named?.has(name)) continue;
    if (isElsewhere && PROVIDERS_OWN.test(name)) continue;
    headers.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  // The answer must be readable to be metered and to have the added usage taken out again.
  if (changes.injected) headers.push('accept-encoding', 'identity');
  const length = call.payload === null ? call.req.headers['content-length'] : undefined;
  if (length !== undefined) headers.push('content-length', length);
  headers.push(...credential(call, provider, key));
  return headers;
}

/** The provider's key, in the place where the client's SDK put its own. */
function credential(
  { route, req }: Admitted,
  provider: Provider,
  key: string,
): [name: string, value: string] {
  if (route.envelope === 'google') return ['x-goog-api-key', key];
  if (provider === 'anthropic' && req.headers.authorization === undefined)
    return ['x-api-key', key];
  return ['authorization', `Bearer ${key}`];
}
