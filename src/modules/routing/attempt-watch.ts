import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { BreakerState, Target } from '../../domain/routing/decision.js';
import type { Clock } from '../../platform/clock.js';
import type { BreakerTarget } from '../resilience/breaker.js';
import type { Attempt as BreakerAttempt, Breakers } from '../resilience/breakers.js';
import type { CoolDowns } from '../resilience/cool-downs.js';
import { statedWaitMs, type AnswerHeaders } from '../resilience/retry-after.js';

/** Who calls what, and with which key. */
export interface WatchedCall {
  readonly orgId: string;
  readonly target: BreakerTarget;
  /** Of the provider key; null in the sandbox. */
  readonly keyId: string | null;
}

/** How an attempt ended, once. */
export type AttemptEnd =
  | { readonly kind: 'succeeded' }
  /** The client left, or Shunt itself ended it: nothing is known. */
  | { readonly kind: 'abandoned' }
  | {
      readonly kind: 'failed';
      readonly failure: FailureClass;
      /** What the provider said of when to come back. */
      readonly headers: AnswerHeaders;
      readonly error: unknown;
    };

export interface AttemptReport {
  ended(end: AttemptEnd): void;
}

/** A half-open breaker's one call that may try; taken before the decision, given back if another model is chosen. */
export interface ProbeTicket {
  readonly target: Target;
  readonly attempt: BreakerAttempt;
}

/** Asks and tells breakers and cool-downs, which know nothing of each other. Never throws into a call. */
export class AttemptWatch {
  constructor(
    private readonly breakers: Breakers,
    private readonly coolDowns: CoolDowns,
    private readonly clock: Clock,
  ) {}

  stateOf({ orgId, target, keyId }: WatchedCall): {
    readonly breaker: BreakerState;
    readonly coolingDown: boolean;
  } {
    return {
      breaker: this.breakers.stateFor({ target, orgId }),
      coolingDown: this.coolDowns.isCoolingDown({ orgId, target, keyId }),
    };
  }

  /** Null where another call tries already. */
  probe({ orgId, target }: WatchedCall): ProbeTicket | null {
    const attempt = this.breakers.attempt({ target, orgId });
    if (attempt.allowed && attempt.kind === 'probe') return { target, attempt };
    attempt.abandoned();
    return null;
  }

  /** To be called right before the attempt is sent. */
  begin(call: WatchedCall, ticket: ProbeTicket | null): AttemptReport {
    const { orgId, target } = call;
    const attempt = ticket?.attempt ?? this.breakers.attempt({ target, orgId });
    const startedAtMs = this.clock.nowMs();
    return {
      ended: (end) => {
        if (end.kind === 'failed') {
          attempt.failed(end.failure);
          const waitMs = statedWaitMs(end.headers, end.error, this.clock.nowMs());
          return this.coolDowns.failed(call, end.failure, waitMs);
        }
        if (end.kind === 'abandoned') return attempt.abandoned();
        attempt.succeeded();
        this.coolDowns.succeeded(call, startedAtMs);
      },
    };
  }

  /** Of a call that was passed through: breakers see it, and it is never held against them. */
  observe({ orgId, target }: WatchedCall, end: AttemptEnd): void {
    this.breakers.observe({ orgId, target }, end.kind === 'failed' ? end.failure : end.kind);
  }
}
