import type { FailureClass } from './failure-class.js';

/** Where a call would go next. */
export interface Fallback {
  /** The model that the client asked for, after a substitute failed; or one of the project's chain. */
  readonly to: 'requested' | 'chain';
  /** It would be called with the same provider key. */
  readonly sameKey: boolean;
}

interface Rule {
  readonly toRequested: boolean;
  readonly toChain: boolean;
  /** Another model with the same provider key may fare better. */
  readonly sameKeyHelps: boolean;
}

/**
 * Towards what the client asked for, any failure of a substitute may fall back: it might be the substitute's own. Along
 * the project's chain only what passes by itself may: a wrong key, a missing model or a request at fault is the
 * client's to see, as it would be without Shunt.
 */
const RULES: Readonly<Record<FailureClass, Rule>> = {
  transient: { toRequested: true, toChain: true, sameKeyHelps: true },
  // Providers count by model, mostly.
  rate_limit: { toRequested: true, toChain: true, sameKeyHelps: true },
  // An account without money has none for another model either; Gemini alone counts by model and day.
  quota: { toRequested: true, toChain: true, sameKeyHelps: false },
  credential: { toRequested: true, toChain: false, sameKeyHelps: false },
  model_access: { toRequested: true, toChain: false, sameKeyHelps: true },
  caller_fault: { toRequested: true, toChain: false, sameKeyHelps: true },
  context_too_long: { toRequested: true, toChain: false, sameKeyHelps: true },
  content_filtered: { toRequested: true, toChain: false, sameKeyHelps: true },
};

/** Whether a call that failed before its first byte may be tried elsewhere. */
export function mayFallBack(failure: FailureClass, fallback: Fallback): boolean {
  const rule = RULES[failure];
  if (fallback.to === 'requested') {
    // A quota may be the substitute's alone; a refused key is refused for every model.
    return rule.toRequested && (!fallback.sameKey || failure !== 'credential');
  }
  return rule.toChain && (!fallback.sameKey || rule.sameKeyHelps);
}
