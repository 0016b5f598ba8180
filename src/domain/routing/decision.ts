import { INELIGIBILITIES } from './eligibility.js';
import type { Provider } from './provider.js';

/** A model at a provider. */
export interface Target {
  readonly provider: Provider;
  readonly model: string;
}

/** Names the rules of `decide`; inputs that carry another version cannot be replayed by this one. */
export const ROUTING_VERSION = 'routing-2';

export const BREAKER_STATES = ['closed', 'half_open', 'open'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** Why a target cannot be used at all, whoever asks for it. */
export const BARRIERS = ['not_allowed', 'no_key', 'not_opted_in', 'other_format'] as const;

export const OBSTACLES = [...INELIGIBILITIES, 'no_key', 'not_opted_in', 'other_format'] as const;
export type Obstacle = (typeof OBSTACLES)[number];

/** Bounds of what one decision looks at; more than that is left out when the inputs are made. */
export const CANDIDATES_MAX = 64;
export const RULE_TARGETS_MAX = 32;
export const FALLBACK_CHAIN_MAX = 16;
export const FALLBACKS_MAX = 2;

/** A model that the call could go to, with all that was known of it at the moment of the decision. */
export interface CandidateState extends Target {
  /** Empty where the call can go there with nothing but the model's name changed. */
  readonly ineligible: readonly Obstacle[];
  readonly breaker: BreakerState;
  /** This organization alone is to leave it in peace for a while (rate limit, quota). */
  readonly coolingDown: boolean;
  /**
   * What the rest of the session is expected to cost if this call goes there, moves included, now and later; null where
   * it cannot be priced, or could not be chosen.
   */
  readonly expectedSessionNanoUsd: string | null;
}

/** What allows a class to be routed: nothing, or a rule that the owner set by hand. Measured evidence comes later. */
export type Evidence =
  | { readonly kind: 'none' }
  | { readonly kind: 'rule'; readonly ruleId: string; readonly targets: readonly Target[] };

/**
 * Everything that a decision depends on, as values: closed words, names of models and numbers. It is stored with the
 * call's record, and `decide` gives the same answer for it at any later time.
 */
export interface RoutingInputs {
  readonly version: string;
  /** Status, hold, switches and lease allow routing. */
  readonly mayRoute: boolean;
  /** What the client asked for; for `shunt/auto` the project's default model. */
  readonly requested: CandidateState;
  readonly auto: boolean;
  /** `x-shunt-model`: exactly this one. */
  readonly override: Target | null;
  readonly off: 'header' | 'project' | null;
  /** The session is in the control group: said of each of its calls, also of those that nothing would have routed. */
  readonly control: boolean;
  readonly evidence: Evidence;
  /** Where the session is at; null for its first call, and for calls without a session. */
  readonly session: { readonly route: Target; readonly gotHarder: boolean } | null;
  /** Cheaper ones, and what a fallback may use; never the requested one. */
  readonly candidates: readonly CandidateState[];
  /** Models that the project names for when others fail, in its order. */
  readonly fallbackChain: readonly Target[];
}

export type DecisionReason =
  | 'routing_off'
  | 'opted_out'
  | 'override'
  | 'no_evidence'
  | 'none_eligible'
  | 'no_saving_expected'
  | 'control_group'
  | 'rule'
  | 'session_holds'
  | 'session_harder'
  | 'session_switches';

export interface RouteDecision {
  readonly decision: 'passthrough' | 'classifier' | 'session' | 'override' | 'control' | 'abstain';
  readonly target: Target;
  readonly reason: DecisionReason;
  /** Where the router would send the call, were it not in the control group; null where it would not route. */
  readonly wouldRoute: Target | null;
  /** Where to go when the target fails before its first byte: at most two, the requested model first. */
  readonly fallbacks: readonly Target[];
}
