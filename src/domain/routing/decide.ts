import {
  BARRIERS,
  FALLBACKS_MAX,
  type CandidateState,
  type RouteDecision,
  type RoutingInputs,
  type Target,
} from './decision.js';
import { sameTarget } from './session-state.js';

/** What the arguments lead to, before the control group and the fallbacks are looked at. */
type Choice = Pick<RouteDecision, 'decision' | 'target' | 'reason'>;

/**
 * Where a call goes, and why. Pure: equal inputs give equal decisions, in whatever order candidates are listed.
 *
 * The arguments, first one wins: routing is off; the client or project opted out; an override; no evidence; the
 * session got harder; nothing eligible; the expected dollars. The target is the requested model, an override that
 * nothing bars, or a candidate that is eligible, closed, not cooling down, named by the evidence, and strictly cheaper
 * in expected dollars than the requested model.
 */
export function decide(inputs: RoutingInputs): RouteDecision {
  const { mayRoute, off, override } = inputs;
  const requested = targetOf(inputs.requested);
  if (!mayRoute) return passthrough(requested, 'routing_off');
  if (off !== null) return passthrough(requested, 'opted_out');
  if (override !== null) return overridden(inputs, override);

  const choice = choose(inputs);
  const wouldRoute = sameTarget(choice.target, requested) ? null : choice.target;
  if (inputs.control && inputs.evidence.kind !== 'none') {
    return {
      decision: 'control',
      target: requested,
      reason: 'control_group',
      wouldRoute,
      fallbacks: fallbacksOf(inputs, requested),
    };
  }
  return { ...choice, wouldRoute, fallbacks: fallbacksOf(inputs, choice.target) };
}

/** The router itself sent the call elsewhere than the client asked: the only calls that can save anything. */
export function isRouted(inputs: RoutingInputs, { decision, target }: RouteDecision): boolean {
  const isRoutersOwn = decision === 'classifier' || decision === 'session';
  return isRoutersOwn && !sameTarget(target, inputs.requested);
}

function passthrough(target: Target, reason: 'routing_off' | 'opted_out'): RouteDecision {
  return { decision: 'passthrough', target, reason, wouldRoute: null, fallbacks: [] };
}

/** Exactly the model that was named, with nothing to fall back to; the requested one where policy bars it. */
function overridden(inputs: RoutingInputs, override: Target): RouteDecision {
  const requested = targetOf(inputs.requested);
  const named = sameTarget(override, requested)
    ? inputs.requested
    : distinct(inputs).find((candidate) => sameTarget(candidate, override));
  if (named === undefined || (isBarred(named) && named !== inputs.requested)) {
    return {
      decision: 'abstain',
      target: requested,
      reason: 'none_eligible',
      wouldRoute: null,
      fallbacks: fallbacksOf(inputs, requested),
    };
  }
  return {
    decision: 'override',
    target: targetOf(named),
    reason: 'override',
    wouldRoute: null,
    fallbacks: [],
  };
}

function choose(inputs: RoutingInputs): Choice {
  const { evidence, session } = inputs;
  const requested = targetOf(inputs.requested);
  const stay = (reason: 'no_evidence' | 'none_eligible' | 'no_saving_expected'): Choice => ({
    decision: 'abstain',
    target: requested,
    reason,
  });
  if (evidence.kind === 'none') return stay('no_evidence');
  // Upward without a cost argument. Down again only by the arithmetic of a later call, which counts the way back.
  if (session?.gotHarder === true) {
    return { decision: 'session', target: requested, reason: 'session_harder' };
  }
  const offers = offersOf(inputs, evidence.targets);
  const current = offers.find(
    ({ target }) => session !== null && sameTarget(target, session.route),
  );
  const best = leastOf(offers, current);
  if (best === undefined) return stay('none_eligible');
  const asked = nanoUsdOf(inputs.requested);
  if (asked === null) return stay('no_saving_expected');
  if (best.nanoUsd >= asked) {
    return current === undefined
      ? stay('no_saving_expected')
      : { decision: 'session', target: requested, reason: 'session_switches' };
  }
  if (session === null) return { decision: 'classifier', target: best.target, reason: 'rule' };
  const reason = best === current ? 'session_holds' : 'session_switches';
  return { decision: 'session', target: best.target, reason };
}

interface Offer {
  readonly target: Target;
  readonly nanoUsd: bigint;
}

/** What may be chosen, in a fixed order. What cannot be priced cannot be cheaper, so it is no offer. */
function offersOf(inputs: RoutingInputs, ruled: readonly Target[]): readonly Offer[] {
  const offers = distinct(inputs)
    .filter((candidate) => ruled.some((target) => sameTarget(target, candidate)))
    .filter((candidate) => candidate.ineligible.length === 0 && isReady(candidate))
    .flatMap((candidate) => {
      const nanoUsd = nanoUsdOf(candidate);
      return nanoUsd === null ? [] : [{ target: targetOf(candidate), nanoUsd }];
    });
  return offers.sort((a, b) => compareTargets(a.target, b.target));
}

/** Of equal ones the session's own, then the first by name. */
function leastOf(offers: readonly Offer[], current: Offer | undefined): Offer | undefined {
  let least = current;
  for (const offer of offers) {
    if (least === undefined || offer.nanoUsd < least.nanoUsd) least = offer;
  }
  return least;
}

/**
 * The requested model first, then the project's chain; where nothing is ready, the requested model all the same.
 * A model with an open or half-open breaker is not ready.
 */
function fallbacksOf(inputs: RoutingInputs, target: Target): readonly Target[] {
  const { requested } = inputs;
  const candidates = distinct(inputs);
  const usable: Target[] = [];
  const add = (state: CandidateState | undefined): void => {
    if (state === undefined || sameTarget(state, target) || !isReady(state)) return;
    if (usable.length === FALLBACKS_MAX || usable.some((one) => sameTarget(one, state))) return;
    usable.push(targetOf(state));
  };
  const isRequestedUsable = !isBarred(requested) && !sameTarget(requested, target);
  if (isRequestedUsable) add(requested);
  for (const link of inputs.fallbackChain) {
    const candidate = candidates.find((one) => sameTarget(one, link));
    if (candidate?.ineligible.length === 0) add(candidate);
  }
  return usable.length === 0 && isRequestedUsable ? [targetOf(requested)] : usable;
}

/** Without the requested model, and without any that is described twice: nobody could tell which description counts. */
function distinct({ candidates, requested }: RoutingInputs): readonly CandidateState[] {
  return candidates.filter(
    (candidate, at) =>
      !sameTarget(candidate, requested) &&
      candidates.every((other, otherAt) => otherAt === at || !sameTarget(other, candidate)),
  );
}

function isBarred({ ineligible }: CandidateState): boolean {
  return BARRIERS.some((barrier) => ineligible.includes(barrier));
}

/** Half-open is not ready: the one call that the breaker lets through to try sees it as closed. */
function isReady({ breaker, coolingDown }: CandidateState): boolean {
  return breaker === 'closed' && !coolingDown;
}

const NANO_USD = /^\d{1,30}$/;

function nanoUsdOf({ expectedSessionNanoUsd: text }: CandidateState): bigint | null {
  return text !== null && NANO_USD.test(text) ? BigInt(text) : null;
}

function targetOf({ provider, model }: Target): Target {
  return { provider, model };
}

function compareTargets(a: Target, b: Target): number {
  return compare(a.provider, b.provider) || compare(a.model, b.model);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
