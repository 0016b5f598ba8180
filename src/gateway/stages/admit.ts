import { modelAllowed, providerAllowed } from '../../domain/policy/allow-lists.js';
import { pathAllowed } from '../../domain/policy/relay-paths.js';
import type { Principal } from '../../modules/api-keys/principal.js';
import type { Admitted, Authenticated } from '../call.js';
import { Payload, type BodyBudget } from '../body/payload.js';
import { readRequestFacts, type RequestFacts } from '../body/request-facts.js';
import { Refusal } from '../gateway-error.js';
import { BODY_BYTES_MAX, declaredLength, readBody } from './read-body.js';

/** Policy, before anything is forwarded: what an owner, admin or operator has switched off, or not allowed. */
export async function admit(call: Authenticated, budget: BodyBudget): Promise<Admitted | Refusal> {
  const refusal = refuseByStatus(call) ?? refuseByRoute(call);
  if (refusal !== null) return refusal;
  const limit = call.principal.bodyLimitBytes ?? BODY_BYTES_MAX;
  if (!mustRead(call)) {
    if (declaredLength(call.req) > limit) return new Refusal('body_too_large');
    return { ...call, payload: null, facts: null, model: call.route.pathModel, streamed: false };
  }
  const hold = budget.open();
  call.res.once('close', () => hold.close());
  const read = await readBody(call.req, limit, hold);
  if (read instanceof Refusal) return read;
  const facts = readRequestFacts(read.plain, call.route.format);
  if (!facts.ok) return new Refusal(facts.reason === 'too_deep' ? 'body_too_deep' : 'invalid_json');
  return (
    refuseByModel(call, facts.facts) ?? {
      ...call,
      payload: new Payload(read.raw, read.plain, hold),
      facts: facts.facts,
      model: call.route.pathModel ?? facts.facts.model,
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
  if (principal.providerKeys[provider] === undefined && !principal.sandbox) {
    return new Refusal('provider_key_missing');
  }
  return null;
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

function refuseByModel({ principal, route }: Authenticated, facts: RequestFacts): Refusal | null {
  const model = route.pathModel ?? facts.model;
  if (!hasModelList(principal)) {
    return model === null && route.needsModel ? new Refusal('model_missing') : null;
  }
  if (route.pathModel === null && (!route.bodyNamesModel || facts.modelAmbiguous)) {
    return new Refusal('model_unreadable');
  }
  if (model === null) return new Refusal(route.needsModel ? 'model_missing' : 'model_unreadable');
  // Google's OpenAI-compatible endpoint takes both `gemini-x` and `models/gemini-x`.
  const name = route.provider === 'google' ? model.replace(/^models\//, '') : model;
  const allowed = modelAllowed(principal.orgAllow, principal.projectAllow, route.provider, name);
  return allowed ? null : new Refusal('model_not_allowed');
}

function hasModelList(principal: Principal): boolean {
  return principal.orgAllow.models !== null || principal.projectAllow.models !== null;
}
