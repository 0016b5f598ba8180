import { routesIn } from '../../domain/subscription/status.js';
import type { Target } from '../../domain/routing/decision.js';
import { sight } from '../../modules/classifier/sighting.js';
import type { Standing } from '../../modules/api-keys/standing.js';
import type { WireFormat } from '../../modules/providers/wire-format.js';
import type { Decision } from '../../modules/records/call-record.js';
import type { Router } from '../../modules/routing/router.js';
import type { Routing, RoutingRequest } from '../../modules/routing/routing-request.js';
import type { SharedPrefixes } from '../../modules/session-routing/shared-prefixes.js';
import { clippedView } from '../body/clipped-view.js';
import type { Admitted, Planned } from '../call.js';
import { listed } from './header-list.js';
import { MODEL_NAME } from './read-models.js';
import { mayServe, prepareAttempt, type AttemptContext } from './prepare-attempt.js';
import { sharedPrefixOf } from './shared-prefix.js';

/** What `plan` needs to know of the outside. */
export interface PlanContext extends AttemptContext {
  /** Asked as late as possible: false once a hold, a switch or the end of the lease has come. */
  mayRoute(standing: Standing): boolean;
  readonly router: Pick<Router, 'route'>;
  readonly prefixes: Pick<SharedPrefixes, 'use' | 'missed'>;
  /** A fault of Shunt's own in deciding: the call goes where it was asked to go. */
  undecided(call: Admitted, error: unknown): void;
}

/** What the router has a say in: calls that a model answers. */
const ROUTED_FORMATS: ReadonlySet<WireFormat> = new Set<WireFormat>([
  'openai_chat',
  'openai_responses',
  'anthropic_messages',
  'google_generate_content',
]);

/**
 * Decides what is sent where. Where routing is off that is what the client asked for, and nothing more is looked at;
 * a model that the client named in `x-shunt-model` is its own wish, and holds everywhere.
 */
export function plan(call: Admitted, context: PlanContext): Planned | Promise<Planned> {
  if (!routesIn(call.mode) || !context.mayRoute(call.principal.standing)) {
    notePrefixMissed(call, context);
    return unrouted(call, 'passthrough', context);
  }
  const inDoubt = (error: unknown): Planned => {
    context.undecided(call, error);
    notePrefixMissed(call, context);
    return unrouted(call, 'abstain', context);
  };
  try {
    const request = routingRequestOf(call, context);
    if (request === null) return unrouted(call, 'abstain', context);
    const routing = context.router.route(request);
    if (!(routing instanceof Promise)) return planned(call, routing, context);
    return routing.then((found) => planned(call, found, context)).catch(inDoubt);
  } catch (error) {
    return inDoubt(error);
  }
}

function unrouted(call: Admitted, decision: Decision, context: PlanContext): Planned {
  const { override, requested, route } = call;
  const destination = { provider: route.provider, model: override ?? requested };
  return {
    ...call,
    decision: override === null ? decision : 'override',
    routing: null,
    sharedPrefix: null,
    attempt: prepareAttempt(call, destination, 0, context),
    fallbacks: NO_FALLBACKS,
  };
}

/** It uses its model's cache all the same, and nobody looks at what it begins with. */
function notePrefixMissed({ route, principal, startedAtMs }: Admitted, context: PlanContext): void {
  if (ROUTED_FORMATS.has(route.format)) context.prefixes.missed(principal.orgId, startedAtMs);
}

const NO_FALLBACKS: readonly Target[] = Object.freeze([]);

function planned(call: Admitted, routing: Routing, context: PlanContext): Planned {
  const { decision, target, fallbacks } = routing.decision;
  const asked = routing.inputs.requested;
  // The decision rests on the same lists. Should it ever not: what was asked for was admitted.
  const destination = mayServe(call, target) ? target : asked;
  const sharedPrefix = sharedPrefixOf(call, routing, context.prefixes);
  const attempt = prepareAttempt(call, destination, 0, context);
  if (fallbacks.length > 0) call.payload?.retain();
  return {
    ...call,
    decision: destination === target ? decision : 'abstain',
    routing,
    sharedPrefix,
    attempt,
    fallbacks,
  };
}

/** Null where there is nothing to be decided: no generation, or no model named. */
function routingRequestOf(call: Admitted, context: PlanContext): RoutingRequest | null {
  const { route, facts, payload, requested, principal, req } = call;
  if (!ROUTED_FORMATS.has(route.format) || requested === null) return null;
  // What does not look like a name is not kept, and an unkept decision could not be told from its record.
  if (facts === null || payload === null || !MODEL_NAME.test(requested)) return null;
  const body = clippedView(payload.plain, facts.scanned);
  const { provider, format } = route;
  return {
    principal,
    provider,
    requested,
    auto: call.model !== requested,
    override: call.override,
    isOff: isOff(req.headers['x-shunt-route']),
    isReplaceable: route.pathModel !== null || !facts.modelAmbiguous,
    headers: req.headers,
    sighting: sight({ principal, provider, format, headers: req.headers, body }),
    body,
    bodyBytes: payload.plainBytes,
    atMs: call.startedAtMs,
    mayRoute: () => context.mayRoute(principal.standing),
  };
}

/** In doubt the client's word against routing holds; any other word says nothing. */
function isOff(header: string | string[] | undefined): boolean {
  return listed(header).some((word) => word.toLowerCase() === 'off');
}
