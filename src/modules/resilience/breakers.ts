import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { BreakerState } from '../../domain/routing/decision.js';
import type { Clock } from '../../platform/clock.js';
import {
  Breaker,
  type BreakerChange,
  type BreakerOutcome,
  type BreakerTarget,
  type Probe,
} from './breaker.js';
import { BREAKERS_MAX, EVICTION_SCAN_MAX, MODEL_CHARS_MAX, RESET_MS } from './breaker-rules.js';
import { OWN_RIGHT, type ProbeRight } from './probe-right.js';

/** Who calls what. */
export interface BreakerCall {
  readonly target: BreakerTarget;
  readonly orgId: string;
}

/**
 * A call that is about to be made. Where it is not allowed, and is made all the same because there is nothing else, its
 * end is reported in the same way. Exactly one end counts: the first.
 */
export interface Attempt {
  readonly allowed: boolean;
  readonly kind: 'normal' | 'probe';
  /** The answer came to its proper end. */
  succeeded(): void;
  /** Before the first byte or after it. */
  failed(failure: FailureClass): void;
  /** The client left, or Shunt itself ended it: nothing is known. */
  abandoned(): void;
}

/** A breaker as it is shown. */
export interface BreakerReading extends BreakerTarget {
  readonly state: BreakerState;
  /** `some`: only those whose own calls fail are kept from it. */
  readonly openFor: 'nobody' | 'some' | 'all';
  readonly since: Date;
  /** Ended calls within the last minute; those of the time before the latest change are not among them. */
  readonly recentSucceeded: number;
  readonly recentFailed: number;
}

export interface BreakersParts {
  readonly clock: Clock;
  /** Where several replicas share them. */
  readonly rightOf?: (key: string) => ProbeRight;
  readonly breakersMax?: number;
  /** How long one stays open before its probe. */
  readonly resetMs?: number;
}

/** @param isOwn false where another replica decided it. */
export type BreakerListener = (
  target: BreakerTarget,
  change: BreakerChange,
  isOwn: boolean,
) => void;

/** One breaker per model, shared by all organizations; made when its first call ends, forgotten when long unused. */
export class Breakers {
  readonly #clock: Clock;
  readonly #rightOf: (key: string) => ProbeRight;
  readonly #max: number;
  readonly #resetMs: number;
  /** The longest unused first. */
  readonly #known = new Map<string, Breaker>();
  readonly #listeners: BreakerListener[] = [];
  #stopped = false;

  constructor({ clock, rightOf, breakersMax, resetMs }: BreakersParts) {
    this.#clock = clock;
    this.#rightOf = rightOf ?? (() => OWN_RIGHT);
    this.#max = breakersMax ?? BREAKERS_MAX;
    this.#resetMs = resetMs ?? RESET_MS;
  }

  get size(): number {
    return this.#known.size;
  }

  onChange(listener: BreakerListener): void {
    this.#listeners.push(listener);
  }

  /** As it is for one organization; an input of the routing decision. */
  stateFor({ target, orgId }: BreakerCall): BreakerState {
    return this.#known.get(keyOf(target))?.stateFor(orgId) ?? 'closed';
  }

  /** To be asked right before a routed call is sent, and told how it ended. */
  attempt(call: BreakerCall): Attempt {
    const breaker = this.#known.get(keyOf(call.target));
    if (breaker === undefined) return this.#attempt(call, true, null, null);
    if (breaker.stateFor(call.orgId) === 'closed') return this.#attempt(call, true, breaker, null);
    const probe = breaker.takeProbe(call.orgId);
    return this.#attempt(call, probe !== null, breaker, probe);
  }

  /** The end of a call that no breaker was asked about. */
  observe({ target, orgId }: BreakerCall, outcome: BreakerOutcome): void {
    if (outcome !== 'succeeded' && outcome !== 'transient') return;
    this.#used(target)?.ended(orgId, outcome);
  }

  /** Those that are or were in use, the open ones first. */
  states(): readonly BreakerReading[] {
    return [...this.#known.values()].map(readingOf).toSorted(byUrgency);
  }

  /** What another replica decided. */
  told(target: BreakerTarget, change: BreakerChange): void {
    const breaker = this.#known.get(keyOf(target));
    if (breaker === undefined && change.to !== 'open') return;
    const before = breaker?.state;
    const told = this.#used(target);
    told?.told(change);
    if (told !== null && told.state !== before && change.to !== 'half_open')
      this.#tell(target, change, false);
  }

  /** The open ones, for replicas that know nothing. */
  *toTell(): Iterable<readonly [target: BreakerTarget, change: BreakerChange]> {
    for (const breaker of this.#known.values()) {
      const change = breaker.toTell();
      if (change !== null) yield [breaker.target, change];
    }
  }

  /** No timer stays behind; every call is allowed from now on. */
  stop(): void {
    this.#stopped = true;
    for (const breaker of this.#known.values()) breaker.stop();
    this.#known.clear();
  }

  #attempt(
    call: BreakerCall,
    allowed: boolean,
    breaker: Breaker | null,
    probe: Probe | null,
  ): Attempt {
    const epoch = breaker?.epoch ?? 0;
    let isEnded = false;
    const end = (outcome: BreakerOutcome): void => {
      if (isEnded) return;
      isEnded = true;
      if (breaker !== null && probe !== null) return breaker.probed(probe, outcome);
      // What failed because of a trouble that is over since says nothing of now.
      const known = this.#known.get(keyOf(call.target));
      if (outcome === 'transient' && known !== undefined && known.epoch !== epoch && known.isIdle)
        return;
      this.observe(call, outcome);
    };
    return {
      allowed,
      kind: probe === null ? 'normal' : 'probe',
      succeeded: () => end('succeeded'),
      failed: (failure) => end(failure),
      abandoned: () => end('abandoned'),
    };
  }

  /** Made where there is none yet; null where there is no place for it. */
  #used(target: BreakerTarget): Breaker | null {
    const key = keyOf(target);
    const known = this.#known.get(key);
    if (known !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    if (this.#stopped || target.model.length > MODEL_CHARS_MAX) return null;
    if (this.#known.size >= this.#max && !this.#makeRoom()) return null;
    const { provider, model, synthetic } = target;
    const own = { provider, model, synthetic };
    const breaker = new Breaker({
      target: own,
      clock: this.#clock,
      right: this.#rightOf(key),
      changed: (change) => this.#tell(own, change, true),
      resetMs: this.#resetMs,
    });
    this.#known.set(key, breaker);
    return breaker;
  }

  /** An open breaker stays: forgetting it would send calls into the trouble that it knows of. */
  #makeRoom(): boolean {
    let looked = 0;
    for (const [key, breaker] of this.#known) {
      if (breaker.isIdle) {
        breaker.stop();
        return this.#known.delete(key);
      }
      looked += 1;
      if (looked >= EVICTION_SCAN_MAX) return false;
    }
    return false;
  }

  #tell(target: BreakerTarget, change: BreakerChange, isOwn: boolean): void {
    for (const listener of this.#listeners) listener(target, change, isOwn);
  }
}

/** The name of a breaker; the sandbox's are apart from those of the real providers. */
export function keyOf({ provider, model, synthetic }: BreakerTarget): string {
  return `${synthetic ? 'sandbox' : 'live'} ${provider} ${model}`;
}

function readingOf(breaker: Breaker): BreakerReading {
  const { state, scope, sinceMs, target } = breaker;
  const { succeeded, failed } = breaker.recent();
  const openFor = scope === 'all' ? 'all' : 'some';
  return {
    ...target,
    state,
    openFor: state === 'closed' ? 'nobody' : openFor,
    since: new Date(sinceMs),
    recentSucceeded: succeeded,
    recentFailed: failed,
  };
}

const URGENCY: Readonly<Record<BreakerState, number>> = { open: 0, half_open: 1, closed: 2 };

function byUrgency(one: BreakerReading, other: BreakerReading): number {
  return URGENCY[one.state] - URGENCY[other.state] || (keyOf(one) < keyOf(other) ? -1 : 1);
}
