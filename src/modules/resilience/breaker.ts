import CircuitBreaker from 'opossum';
import { EventEmitter } from 'node:events';
import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { BreakerState, Target } from '../../domain/routing/decision.js';
import type { Clock } from '../../platform/clock.js';
import {
  BUCKET_MS,
  FAILED_PERCENT,
  FAILURES_PER_ORGANIZATION_MAX,
  OUTCOMES_MIN,
  PROBE_MS_MAX,
  PROBE_TURN_MS,
  RESET_MS,
  WINDOW_BUCKETS,
  WINDOW_MS,
} from './breaker-rules.js';
import { OrganizationVotes, type Scope } from './organization-votes.js';
import type { ProbeRight } from './probe-right.js';

/** A model at a provider; the sandbox's simulation of it is another one. */
export interface BreakerTarget extends Target {
  readonly synthetic: boolean;
}

/** How a call ended, as far as breakers are concerned; `abandoned`: nobody waited for its end. */
export type BreakerOutcome = 'succeeded' | 'abandoned' | FailureClass;

/** What others must know of a breaker that changed here. */
export type BreakerChange =
  | { readonly to: 'open'; readonly scope: Scope; readonly failedProber: string | null }
  | { readonly to: 'closed' }
  | { readonly to: 'half_open' };

/** The one call that finds out whether an open breaker may close. */
export interface Probe {
  readonly orgId: string;
  readonly startedAtMs: number;
  readonly epoch: number;
}

export interface BreakerParts {
  readonly target: BreakerTarget;
  readonly clock: Clock;
  readonly right: ProbeRight;
  readonly changed: (change: BreakerChange) => void;
  readonly resetMs?: number;
}

/** What opossum is told of a failure: nothing of it is ever shown. */
const FAILED = new Error('transient');
FAILED.stack = '';
const DONE = Promise.resolve();

/** The "call" that opossum makes: it has ended already. A failure is thrown at once, so that it opens at once. */
function reported(failed: boolean): Promise<void> {
  if (failed) throw FAILED;
  return DONE;
}

/**
 * One opossum breaker, driven by reports. An outcome is fired into it when it is known, so that its window holds calls
 * that ended and a stream counts by its end. The verdict of a probe is given here, as opossum would take the success
 * of any call, one from before the trouble too, for the probe's.
 */
export class Breaker {
  readonly target: BreakerTarget;
  readonly #circuit: CircuitBreaker<[failed: boolean], void>;
  readonly #rotation = new EventEmitter();
  readonly #votes: OrganizationVotes;
  readonly #clock: Clock;
  readonly #right: ProbeRight;
  readonly #changed: (change: BreakerChange) => void;
  #rotatedAtMs: number;
  #sinceMs: number;
  #epoch = 0;
  #scope: Scope = new Set();
  #probe: Probe | null = null;
  #failedProber: string | null = null;
  #wanted = false;

  constructor({ target, clock, right, changed, resetMs }: BreakerParts) {
    this.target = target;
    this.#clock = clock;
    this.#right = right;
    this.#changed = changed;
    this.#rotatedAtMs = this.#sinceMs = clock.nowMs();
    this.#votes = new OrganizationVotes(this.#sinceMs);
    this.#circuit = new CircuitBreaker(reported, {
      timeout: false,
      resetTimeout: resetMs ?? RESET_MS,
      rollingCountTimeout: WINDOW_MS,
      rollingCountBuckets: WINDOW_BUCKETS,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      // Buckets turn when they are used: a closed breaker keeps no timer.
      rotateBucketController: this.#rotation,
      volumeThreshold: OUTCOMES_MIN,
      errorThresholdPercentage: FAILED_PERCENT,
    });
    this.#circuit.on('open', () => this.#opened());
    this.#circuit.on('halfOpen', () => this.#halfOpened());
  }

  get epoch(): number {
    return this.#epoch;
  }

  get state(): BreakerState {
    if (this.#circuit.closed) return 'closed';
    return this.#circuit.halfOpen ? 'half_open' : 'open';
  }

  /** Nothing would be lost with it but counts. */
  get isIdle(): boolean {
    return this.#circuit.closed;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  get scope(): Scope {
    return this.#scope;
  }

  /** Calls that ended within the window. */
  recent(): { readonly succeeded: number; readonly failed: number } {
    this.#rotate(this.#clock.nowMs());
    const { successes, failures } = this.#circuit.stats;
    return { succeeded: successes, failed: failures };
  }

  /** As it is for one organization: another's trouble alone leaves it closed. */
  stateFor(orgId: string): BreakerState {
    if (this.#circuit.closed) return 'closed';
    if (this.#scope !== 'all' && !this.#scope.has(orgId)) return 'closed';
    return this.#circuit.halfOpen ? 'half_open' : 'open';
  }

  /** The probe, where it is this call's turn. */
  takeProbe(orgId: string): Probe | null {
    this.#wanted = true;
    if (!this.#circuit.halfOpen) return null;
    const nowMs = this.#clock.nowMs();
    if (this.#probe !== null && nowMs - this.#probe.startedAtMs < PROBE_MS_MAX) return null;
    const halfOpenForMs = nowMs - this.#sinceMs;
    if (this.#failedProber === orgId && halfOpenForMs < PROBE_TURN_MS) return null;
    if (!this.#right.take(halfOpenForMs)) return null;
    this.#probe = { orgId, startedAtMs: nowMs, epoch: this.#epoch };
    return this.#probe;
  }

  /** A probe's end; also a late one, as long as nothing else has been decided meanwhile. */
  probed(probe: Probe, outcome: BreakerOutcome): void {
    if (this.#probe === probe) {
      this.#probe = null;
      this.#right.give();
    }
    if (outcome !== 'succeeded' && outcome !== 'transient') return;
    if (probe.epoch !== this.#epoch || !this.#circuit.halfOpen) return;
    const { orgId } = probe;
    if (outcome === 'succeeded') {
      this.#close();
      this.#changed({ to: 'closed' });
      return;
    }
    const nowMs = this.#clock.nowMs();
    this.#votes.add(orgId, nowMs, { failed: 1, succeeded: 0 });
    this.#failedProber = orgId;
    this.#scope = together(this.#scope, this.#votes.scope(nowMs));
    this.#circuit.open();
    this.#tellOpen();
  }

  /** The end of any other call. While the breaker is not closed it says no more than for whom it is open. */
  ended(orgId: string, outcome: BreakerOutcome): void {
    if (outcome !== 'succeeded' && outcome !== 'transient') return;
    const nowMs = this.#clock.nowMs();
    const failed = outcome === 'transient';
    this.#votes.add(orgId, nowMs, { failed: failed ? 1 : 0, succeeded: failed ? 0 : 1 });
    if (this.#circuit.closed) return this.#count(failed, nowMs);
    if (failed && this.#widen(this.#votes.scope(nowMs))) this.#tellOpen();
  }

  /** What another replica decided. */
  told(change: BreakerChange): void {
    if (change.to === 'closed') return this.#close();
    if (change.to === 'half_open') return;
    const nowMs = this.#clock.nowMs();
    if (change.scope !== 'all') {
      const failed = FAILURES_PER_ORGANIZATION_MAX;
      for (const orgId of change.scope) this.#votes.add(orgId, nowMs, { failed, succeeded: 0 });
    }
    const known = this.#circuit.closed ? change.scope : together(this.#scope, change.scope);
    this.#scope = together(known, this.#votes.scope(nowMs));
    this.#failedProber = change.failedProber;
    this.#circuit.open();
    if (this.#scope === 'all' && change.scope !== 'all') this.#tellOpen();
  }

  /** As it is now, for replicas that know nothing of it; null while it is closed. */
  toTell(): BreakerChange | null {
    if (this.#circuit.closed) return null;
    return { to: 'open', scope: this.#scope, failedProber: this.#failedProber };
  }

  /** Ends opossum's timer. */
  stop(): void {
    this.#circuit.shutdown();
  }

  #count(failed: boolean, nowMs: number): void {
    this.#rotate(nowMs);
    // Opossum looks at its own counts: for whom it opens must be known when it does.
    if (failed) this.#scope = this.#votes.scope(nowMs);
    this.#circuit.fire(failed).catch(() => undefined);
    if (!this.#circuit.closed) this.#tellOpen();
  }

  #opened(): void {
    this.#epoch += 1;
    this.#sinceMs = this.#clock.nowMs();
    this.#dropProbe();
  }

  #halfOpened(): void {
    this.#sinceMs = this.#clock.nowMs();
    if (this.#wanted) this.#right.prepare();
    this.#wanted = false;
    this.#changed({ to: 'half_open' });
  }

  #close(): void {
    if (this.#circuit.closed) return;
    this.#circuit.close();
    this.#epoch += 1;
    this.#sinceMs = this.#clock.nowMs();
    this.#failedProber = null;
    this.#scope = new Set();
    this.#dropProbe();
    this.#votes.clear();
    // What failed before it opened must not open it again.
    this.#turn(WINDOW_BUCKETS);
  }

  #dropProbe(): void {
    if (this.#probe === null) return;
    this.#probe = null;
    this.#right.give();
  }

  #widen(scope: Scope): boolean {
    if (this.#scope === 'all') return false;
    const before = this.#scope.size;
    this.#scope = together(this.#scope, scope);
    return this.#scope === 'all' || this.#scope.size > before;
  }

  #tellOpen(): void {
    this.#changed({ to: 'open', scope: this.#scope, failedProber: this.#failedProber });
  }

  #rotate(nowMs: number): void {
    const buckets = Math.floor((nowMs - this.#rotatedAtMs) / BUCKET_MS);
    if (buckets === 0) return;
    // A clock that was put back begins anew.
    this.#rotatedAtMs = buckets > 0 ? this.#rotatedAtMs + buckets * BUCKET_MS : nowMs;
    this.#turn(Math.min(buckets, WINDOW_BUCKETS));
  }

  #turn(buckets: number): void {
    for (let turned = 0; turned < buckets; turned += 1) this.#rotation.emit('rotate');
  }
}

function together(one: Scope, other: Scope): Scope {
  return one === 'all' || other === 'all' ? 'all' : new Set([...one, ...other]);
}
