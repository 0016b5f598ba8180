import { LRUCache } from 'lru-cache';
import { setTimeout as pause } from 'node:timers/promises';
import { BoundedConcurrency } from '../bounded-concurrency.js';
import type { Clock } from '../clock.js';
import { HttpError } from './http-error.js';

/** What slows guessing down. Failures are forgotten by halves: after one half-life half of them count. */
export interface DelayLimits {
  /** Attempts that may work at the same time: each costs a password hash. */
  readonly workingMax: number;
  /** Failures of one address that cost nothing: people mistype. */
  readonly freeFailures: number;
  /** Of the first failure beyond those; doubles with each further one. */
  readonly firstDelayMs: number;
  readonly addressDelayMsMax: number;
  readonly addressHalfLifeMs: number;
  /** Failures of all addresses together that cost nothing. */
  readonly freeFailuresOverall: number;
  /** Added for everybody while guesses come from everywhere; grows in proportion up to this. */
  readonly overallDelayMsMax: number;
  readonly overallHalfLifeMs: number;
  /** Attempts of one address that wait or work; further ones get 429. */
  readonly perAddressMax: number;
  /** Attempts that wait or work of addresses beyond their free failures; others have their room kept. */
  readonly suspectsMax: number;
  readonly attemptsMax: number;
  /** Addresses remembered; the least recently seen is forgotten first. */
  readonly addressesMax: number;
}

export const FORM_LIMITS: DelayLimits = {
  workingMax: 2,
  freeFailures: 3,
  firstDelayMs: 250,
  addressDelayMsMax: 5_000,
  addressHalfLifeMs: 5 * 60_000,
  freeFailuresOverall: 50,
  overallDelayMsMax: 1_000,
  overallHalfLifeMs: 60_000,
  perAddressMax: 4,
  suspectsMax: 500,
  attemptsMax: 1_000,
  addressesMax: 10_000,
};

interface Counted {
  failures: number;
  atMs: number;
}

interface Address extends Counted {
  /** Attempts of one address begin one after the other, a delay apart. */
  nextMs: number;
}

export interface Attempt {
  /** Makes further attempts slower: a wrong password, or any use of a form that anybody may use. */
  count(): void;
}

export type Wait = (ms: number) => Promise<unknown>;

/**
 * Growing delays for forms that anybody may use: per client address and overall, in memory, bounded, forgotten with
 * time. Nobody is locked out by a stranger: an address waits for its own failures, and for others' at most
 * `overallDelayMsMax`; attempts of addresses with fewer failures come first.
 */
export class GrowingDelays {
  readonly #addresses: LRUCache<string, Address>;
  readonly #underWay = new Map<string, number>();
  readonly #overall: Counted;
  readonly #gate: BoundedConcurrency;
  readonly #limits: DelayLimits;
  #attempts = 0;
  #suspects = 0;

  constructor(
    private readonly clock: Clock,
    limits: Partial<DelayLimits> = {},
    private readonly wait: Wait = (ms) => pause(ms),
  ) {
    this.#limits = { ...FORM_LIMITS, ...limits };
    this.#addresses = new LRUCache({ max: this.#limits.addressesMax });
    this.#gate = new BoundedConcurrency(this.#limits.workingMax);
    this.#overall = { failures: 0, atMs: clock.nowMs() };
  }

  /** Runs the work of an attempt once it is its turn; throws a 429 where the address has too many under way. */
  async run<T>(address: string, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const known = this.#recall(address);
    const isSuspect = known.failures > this.#limits.freeFailures;
    const ahead = this.#admit(address, known, isSuspect);
    try {
      const delayMs = this.#takeTurn(known);
      if (delayMs > 0) await this.wait(delayMs);
      return await this.#gate.run(
        () => work({ count: () => this.#count(address) }),
        () => ahead + Math.floor(known.failures),
      );
    } finally {
      this.#release(address, isSuspect);
    }
  }

  /** Returns how many attempts of the address are under way already: each address has its turn before any second. */
  #admit(address: string, known: Address, isSuspect: boolean): number {
    const own = this.#underWay.get(address) ?? 0;
    // Before there is no room for anybody, there is none for anybody's second.
    const ownMax = this.#attempts < this.#limits.attemptsMax / 2 ? this.#limits.perAddressMax : 1;
    const isFull =
      own >= ownMax ||
      this.#attempts >= this.#limits.attemptsMax ||
      (isSuspect && this.#suspects >= this.#limits.suspectsMax);
    if (isFull) throw tooMany(Math.max(1_000, known.nextMs - this.clock.nowMs()));
    this.#underWay.set(address, own + 1);
    this.#attempts += 1;
    if (isSuspect) this.#suspects += 1;
    return own;
  }

  #release(address: string, wasSuspect: boolean): void {
    const own = (this.#underWay.get(address) ?? 1) - 1;
    if (own === 0) this.#underWay.delete(address);
    else this.#underWay.set(address, own);
    this.#attempts -= 1;
    if (wasSuspect) this.#suspects -= 1;
  }

  /** How long this attempt waits; the address's next one begins no sooner than a delay after it. */
  #takeTurn(address: Address): number {
    const nowMs = this.clock.nowMs();
    const startMs = Math.max(nowMs, address.nextMs);
    address.nextMs = startMs + this.#addressDelayMs(address.failures);
    return startMs - nowMs + this.#overallDelayMs();
  }

  #addressDelayMs(failures: number): number {
    const { freeFailures, firstDelayMs, addressDelayMsMax } = this.#limits;
    if (failures < freeFailures) return 0;
    return Math.min(addressDelayMsMax, firstDelayMs * 2 ** (failures - freeFailures));
  }

  #overallDelayMs(): number {
    const { freeFailuresOverall, overallDelayMsMax, overallHalfLifeMs } = this.#limits;
    forget(this.#overall, this.clock.nowMs(), overallHalfLifeMs);
    const excess = this.#overall.failures - freeFailuresOverall;
    return Math.max(0, Math.min(1, excess / (4 * freeFailuresOverall))) * overallDelayMsMax;
  }

  #recall(address: string): Address {
    const nowMs = this.clock.nowMs();
    const known = this.#addresses.get(address) ?? { failures: 0, atMs: nowMs, nextMs: 0 };
    this.#addresses.set(address, known);
    // Where the clock was set back, nobody waits until it is where it was.
    if (nowMs < known.atMs) known.nextMs = nowMs + this.#addressDelayMs(known.failures);
    forget(known, nowMs, this.#limits.addressHalfLifeMs);
    return known;
  }

  #count(address: string): void {
    const known = this.#recall(address);
    known.failures += 1;
    // What comes next waits for this failure too, not only what comes after that.
    const earliestMs = this.clock.nowMs() + this.#addressDelayMs(known.failures);
    known.nextMs = Math.max(known.nextMs, earliestMs);
    forget(this.#overall, this.clock.nowMs(), this.#limits.overallHalfLifeMs);
    this.#overall.failures += 1;
  }
}

function forget(counted: Counted, nowMs: number, halfLifeMs: number): void {
  const elapsedMs = Math.max(0, nowMs - counted.atMs);
  counted.failures *= 2 ** (-elapsedMs / halfLifeMs);
  counted.atMs = nowMs;
}

function tooMany(retryAfterMs: number): HttpError {
  return new HttpError(
    429,
    'too_many_attempts',
    'Too many attempts from this address. Wait a little, then try again.',
    Math.ceil(retryAfterMs / 1_000),
  );
}
