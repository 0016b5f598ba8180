import { NO_FACTS } from '../../domain/classification/prompt-facts.js';
import { decide } from '../../domain/routing/decide.js';
import {
  CANDIDATES_MAX,
  FALLBACK_CHAIN_MAX,
  ROUTING_VERSION,
  RULE_TARGETS_MAX,
  type CandidateState,
  type Evidence,
  type Obstacle,
  type RoutingInputs,
  type Target,
} from '../../domain/routing/decision.js';
import {
  obstaclesOf,
  obstaclesOfRequested,
  type RoutedCall,
} from '../../domain/routing/obstacles.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import { isControl } from '../../domain/routing/session-control.js';
import { difficultyOf, gotHarder } from '../../domain/routing/session-difficulty.js';
import { sameTarget, type SessionState } from '../../domain/routing/session-state.js';
import type { Principal } from '../api-keys/principal.js';
import { keyedHash } from '../classifier/keyed-hash.js';
import type { Sighting } from '../classifier/sighting.js';
import type { SessionStore } from '../session-routing/session-store.js';
import type { AttemptWatch, ProbeTicket } from './attempt-watch.js';
import { capabilitiesOf } from './model-capabilities/models.js';
import { EVERY_CLASS } from './route-rule.service.js';
import type { Routing, RoutingRequest } from './routing-request.js';
import type { SessionDollars } from './session-dollars.js';

const NO_EVIDENCE: Evidence = Object.freeze({ kind: 'none' });

/** Puts together what a decision depends on, and decides. */
export class Router {
  constructor(
    private readonly sessions: Pick<SessionStore, 'find' | 'habits'>,
    private readonly watch: AttemptWatch,
    private readonly dollars: SessionDollars,
  ) {}

  route(request: RoutingRequest): Routing | Promise<Routing> {
    const { orgId } = request.principal;
    const { sessionKey } = request.sighting;
    if (sessionKey === null) return this.#decide(request, null);
    const found = this.sessions.find({ orgId, sessionKey });
    return found instanceof Promise
      ? found.then((state) => this.#decide(request, state))
      : this.#decide(request, found);
  }

  #decide(request: RoutingRequest, session: SessionState | null): Routing {
    const { principal, sighting, override } = request;
    const { routing } = principal;
    const size = this.dollars.sizeOf(request, session);
    const requested: Target = { provider: request.provider, model: request.requested };
    const evidence = evidenceFor(principal, sighting.routeClass);
    const call = routedCall(request, requested, session);
    const tickets: ProbeTicket[] = [];
    // Nothing is compared where nothing could be chosen.
    const facts =
      evidence.kind === 'rule' && override === null
        ? this.dollars.factsOf(size, this.sessions.habits(principal.orgId, principal.projectId))
        : null;
    const stateOf = (target: Target, ineligible: readonly Obstacle[]): CandidateState => {
      const isOffered = facts !== null && ineligible.length === 0;
      const state = this.#standing(principal, target, isOffered, tickets);
      return {
        ...target,
        ineligible,
        ...state,
        expectedSessionNanoUsd:
          facts === null || ineligible.length > 0
            ? null
            : (this.dollars.expected(request, target, size, facts)?.toString() ?? null),
      };
    };
    const inputs: RoutingInputs = {
      version: ROUTING_VERSION,
      mayRoute: request.mayRoute(),
      requested: stateOf(requested, obstaclesOfRequested(call)),
      auto: request.auto,
      override: override === null ? null : { provider: request.provider, model: override },
      off: override === null ? offOf(request) : null,
      control:
        facts !== null &&
        (session?.control === true ||
          // One that was routed before the share was raised stays where it is.
          (!wasSentElsewhere(session, requested) &&
            isControlSession(principal, sighting.sessionKey))),
      evidence,
      session: session === null ? null : sessionOf(session, sighting),
      candidates: candidatesOf(request, requested, evidence).map((target) =>
        stateOf(target, this.#obstacles(request, call, target)),
      ),
      fallbackChain: routing.fallbackModels.slice(0, FALLBACK_CHAIN_MAX),
    };
    const decision = decide(inputs);
    const ticket = tickets.find(({ target }) => sameTarget(target, decision.target)) ?? null;
    for (const other of tickets) if (other !== ticket) other.attempt.abandoned();
    return { inputs, decision, sighting, size, ticket };
  }

  #obstacles(request: RoutingRequest, call: RoutedCall, target: Target): readonly Obstacle[] {
    const found = obstaclesOf(call, target, capabilitiesOf(target.provider, target.model));
    return request.isReplaceable ? found : [...found, 'request_unread'];
  }

  /** A half-open breaker lets one call try: to that one it is closed. */
  #standing(
    principal: Principal,
    target: Target,
    isOffered: boolean,
    tickets: ProbeTicket[],
  ): Pick<CandidateState, 'breaker' | 'coolingDown'> {
    const watched = watchedCall(principal, target);
    const state = this.watch.stateOf(watched);
    if (state.breaker !== 'half_open' || state.coolingDown || !isOffered) return state;
    const ticket = this.watch.probe(watched);
    if (ticket === null) return state;
    tickets.push(ticket);
    return { ...state, breaker: 'closed' };
  }
}

/** The target as breakers know it: the sandbox's are apart from those of the real providers. */
export function watchedCall(principal: Principal, { provider, model }: Target) {
  const key = principal.providerKeys[provider];
  const synthetic = key === undefined && principal.sandbox;
  return { orgId: principal.orgId, target: { provider, model, synthetic }, keyId: key?.id ?? null };
}

/** A rule of its own class first, then the one for every class. */
function evidenceFor({ routing }: Principal, routeClass: string | null): Evidence {
  if (routing.rules.size === 0) return NO_EVIDENCE;
  const own = routeClass === null ? undefined : routing.rules.get(routeClass);
  const rule = own ?? routing.rules.get(EVERY_CLASS);
  if (rule === undefined) return NO_EVIDENCE;
  return { kind: 'rule', ruleId: rule.id, targets: rule.targets.slice(0, RULE_TARGETS_MAX) };
}

function routedCall(
  { principal, sighting, headers, bodyBytes }: RoutingRequest,
  { provider, model }: Target,
  session: SessionState | null,
): RoutedCall {
  // Google's OpenAI-compatible endpoint takes both `gemini-x` and `models/gemini-x`.
  const requested = {
    provider,
    model: provider === 'google' ? model.replace(/^models\//, '') : model,
  };
  const betas = headers['anthropic-beta'];
  return {
    facts: sighting.reading?.facts ?? NO_FACTS,
    requested,
    requestedCapabilities: capabilitiesOf(requested.provider, requested.model),
    allowance: { organization: principal.orgAllow, project: principal.projectAllow },
    bodyBytes,
    betas: Array.isArray(betas) ? betas.join(',') : (betas ?? null),
    keyed: PROVIDERS.filter(
      (name) => principal.sandbox || principal.providerKeys[name] !== undefined,
    ),
    optedIn: principal.routing.crossProviderOptIn,
    sessionRoute: session?.route ?? null,
  };
}

/** What people named: each once, never the requested one. */
function candidatesOf(
  { principal, provider, override }: RoutingRequest,
  requested: Target,
  evidence: Evidence,
): Target[] {
  const named: Target[] = [
    ...(override === null ? [] : [{ provider, model: override }]),
    ...(evidence.kind === 'rule' ? evidence.targets : []),
    ...principal.routing.fallbackModels,
  ];
  const found: Target[] = [];
  for (const target of named) {
    if (found.length === CANDIDATES_MAX) break;
    if (sameTarget(target, requested) || found.some((one) => sameTarget(one, target))) continue;
    found.push({ provider: target.provider, model: target.model });
  }
  return found;
}

function offOf({ isOff, principal }: RoutingRequest): RoutingInputs['off'] {
  if (isOff) return 'header';
  return principal.routing.optOut ? 'project' : null;
}

function wasSentElsewhere(session: SessionState | null, requested: Target): boolean {
  return session !== null && !sameTarget(session.route, requested);
}

function isControlSession({ hashKey, routing }: Principal, sessionKey: string | null): boolean {
  if (sessionKey === null || routing.controlShareBp === 0) return false;
  const hashed = keyedHash(hashKey, 'control', sessionKey);
  return isControl(Buffer.from(hashed, 'base64url'), routing.controlShareBp);
}

function sessionOf(
  { route, hardest }: SessionState,
  { reading }: Sighting,
): NonNullable<RoutingInputs['session']> {
  const { provider, model } = route;
  const isHarder = reading !== null && gotHarder(hardest, difficultyOf(reading.facts));
  return { route: { provider, model }, gotHarder: isHarder };
}
