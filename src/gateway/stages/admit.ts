import { modelAllowed, providerAllowed } from '../../domain/policy/allow-lists.js';
import { pathAllowed } from '../../domain/policy/relay-paths.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Principal } from '../../modules/api-keys/principal.js';
import type { Admitted, Authenticated } from '../call.js';
import { Payload, type BodyBudget } from '../body/payload.js';
import { readRequestFacts, type RequestFacts } from '../body/request-facts.js';
import { Refusal } from '../gateway-error.js';
import { BODY_BYTES_MAX, declaredLength, readBody } from './read-body.js';
import { readModels, type KnownModels, type Models } from './read-models.js';

/** What `admit` needs to know of the outside. */
export interface AdmitContext {
  readonly bodies: BodyBudget;
  readonly prices: KnownModels;
}

/** Policy, before anything is forwarded: what an owner, admin or operator has switched off, or not allowed. */
export async function admit(
  call: Authenticated,
  { bodies, prices }: AdmitContext,
): Promise<Admitted | Refusal> {
  const refusal = refuseByStatus(call) ?? refuseByRoute(call);
  if (refusal !== null) return refusal;
  const limit = call.principal.bodyLimitBytes ?? BODY_BYTES_MAX;
  if (!mustRead(call)) {
    if (declaredLength(call.req) > limit) return new Refusal('body_too_large');
    const model = call.route.pathModel;
    return {
      ...call,
      payload: null,
      facts: null,
      model,
      requested: model,
      override: null,
      streamed: false,
    };
  }
  const hold = bodies.open();
  call.res.once('close', () => hold.close());
  const read = await readBody(call.req, limit, hold);
  if (read instanceof Refusal) return read;
  const facts = readRequestFacts(read.plain, call.route.format);
  if (!facts.ok) return new Refusal(facts.reason === 'too_deep' ? 'body_too_deep' : 'invalid_json');
  const models = readModels(call, facts.facts, prices);
  if (models instanceof Refusal) return models;
  return (
    refuseByModel(call, facts.facts, models) ?? {
      ...call,
      ...models,
      payload: new Payload(read.raw, read.plain, hold),
      facts: facts.facts,
      streamed: facts.facts.streamed || call.route.upstreamPath.endsWith(':streamGenerateContent'),
    }
  );
}

function refuseByStatus({ mode, principal }: Authenticated): Refusal | null {
  if (mode === 'suspended') return new Refusal('organization_suspended');
  return principal.projectDisabled ? new Refusal('project_disabled') : null;
}

function refuseByRoute({ principal, route, req }: Authenticated): Refusal | null {
  const { provider } = route;
  if (!providerAllowed(principal.orgAllow, principal.projectAllow, provider)) {
    return new Refusal('provider_not_allowed');
  }
  if (
    route.operation === 'other' ||
    route.operation === 'models' ||
    route.operation === 'count_tokens'
  ) {
    const method = req.method ?? 'GET';
    if (!pathAllowed(provider, method, route.upstreamPath, principal.allowedPaths)) {
      return new Refusal('path_not_allowed');
    }
  }
  return hasKey(principal, provider) ? null : new Refusal('provider_key_missing');
}

/** Relayed bodies stream through unread, unless a model allow-list has to know what they name. */
function mustRead({ principal, route, req }: Authenticated): boolean {
  if (route.readsBody) return true;
  return (
    hasModelList(principal) &&
    req.method !== 'GET' &&
    req.method !== 'HEAD' &&
    req.method !== 'DELETE'
  );
}

function refuseByModel(
  { principal, route }: Authenticated,
  facts: RequestFacts,
  { requested, override }: Models,
): Refusal | null {
  if (!hasModelList(principal)) {
    return requested === null && route.needsModel ? new Refusal('model_missing') : null;
  }
  if (route.pathModel === null && (!route.bodyNamesModel || facts.modelAmbiguous)) {
    return new Refusal('model_unreadable');
  }
  if (requested === null) {
    return new Refusal(route.needsModel ? 'model_missing' : 'model_unreadable');
  }
  const mayServe =
    isModelAllowed(principal, route.provider, requested) &&
    (override === null || isModelAllowed(principal, route.provider, override));
  return mayServe ? null : new Refusal('model_not_allowed');
}

/** What both the organization and the project let a call go to, whoever chose it. */
export function isModelAllowed(principal: Principal, provider: Provider, model: string): boolean {
  return modelAllowed(principal.orgAllow, principal.projectAllow, provider, model);
}

/** The sandbox answers for every provider. */
export function hasKey(principal: Principal, provider: Provider): boolean {
  return principal.providerKeys[provider] !== undefined || principal.sandbox;
}

function hasModelList(principal: Principal): boolean {
  return principal.orgAllow.models !== null || principal.projectAllow.models !== null;
}
