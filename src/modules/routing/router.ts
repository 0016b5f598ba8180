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
import {
  answererOf,
  earlierAnswers,
  sameTarget,
  type SessionState,
} from '../../domain/routing/session-state.js';
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
      return { ...target, ineligible, ...state, expectedSessionNanoUsd: null };
    };
    const asked = stateOf(requested, obstaclesOfRequested(call));
    const others = candidatesOf(request, requested, evidence).map((target) =>
      stateOf(target, this.#obstacles(request, call, target)),
    );
    const compared = comparedOf(asked, others, evidence);
    const expected = facts === null ? [] : this.dollars.expected(request, compared, size, facts);
    const priced = (state: CandidateState): CandidateState => {
      const nanoUsd = expected[compared.indexOf(state)] ?? null;
      return nanoUsd === null ? state : { ...state, expectedSessionNanoUsd: nanoUsd.toString() };
    };
    const inputs: RoutingInputs = {
      version: ROUTING_VERSION,
      mayRoute: request.mayRoute(),
      requested: priced(asked),
      auto: request.auto,
      override: override === null ? null : { provider: request.provider, model: override },
      off: override === null ? offOf(request) : null,
      control: isControlSession(principal, sighting.sessionKey, session),
      evidence,
      session: session === null ? null : sessionOf(session, sighting),
      candidates: others.map(priced),
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
  requested: Target,
  session: SessionState | null,
): RoutedCall {
  const betas = headers['anthropic-beta'];
  const facts = sighting.reading?.facts ?? NO_FACTS;
  return {
    facts,
    requested,
    requestedCapabilities: capabilitiesOf(requested.provider, requested.model),
    allowance: { organization: principal.orgAllow, project: principal.projectAllow },
    bodyBytes,
    betas: Array.isArray(betas) ? betas.join(',') : (betas ?? null),
    keyed: PROVIDERS.filter(
      (name) => principal.sandbox || principal.providerKeys[name] !== undefined,
    ),
    optedIn: principal.routing.crossProviderOptIn,
    answeredBy: session === null ? null : answererOf(session, earlierAnswers(facts)),
    sessionTokens: session === null ? 0 : session.promptTokens + session.lastOutputTokens,
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

/** Those that the session may go to, now or later: what a fallback alone may use is none of them. */
function comparedOf(
  asked: CandidateState,
  others: readonly CandidateState[],
  evidence: Evidence,
): readonly CandidateState[] {
  if (evidence.kind === 'none') return [];
  const ruled = others.filter((one) => evidence.targets.some((target) => sameTarget(target, one)));
  return [asked, ...ruled].filter(({ ineligible }) => ineligible.length === 0);
}

function offOf({ isOff, principal }: RoutingRequest): RoutingInputs['off'] {
  if (isOff) return 'header';
  return principal.routing.optOut ? 'project' : null;
}

/**
 * Of the session, whatever the call at hand is: with evidence or without, the client's own wish or not. Which sessions
 * are compared would depend on their group otherwise. A session stays on its side when the share changes.
 */
function isControlSession(
  { hashKey, routing }: Principal,
  sessionKey: string | null,
  session: SessionState | null,
): boolean {
  if (session !== null) return session.control;
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
