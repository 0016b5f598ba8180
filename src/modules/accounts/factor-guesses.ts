import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';

interface Counted {
  failures: number;
  atMs: number;
  /** When the next code is looked at. */
  nextMs: number;
}

/** Wrong codes that cost nothing: people mistype, and clocks differ. */
const FREE_FAILURES = 5;
/** After the first wrong code beyond those; doubles with each further one. */
const FIRST_DELAY_MS = 30_000;
const DELAY_MS_MAX = 15 * 60_000;
const HALF_LIFE_MS = 60 * 60_000;
const ACCOUNTS_MAX = 10_000;

/**
 * Slows the guessing of codes down, per account and from wherever it comes: a code has six digits, and a delay per
 * address stops nobody who has many. It begins behind a right password, so that no stranger can keep anybody out; a
 * recovery code, which nobody guesses, is always looked at. An account is known by its id and the hash of its password:
 * with a new one, which the guesser does not know, all is forgotten.
 */
export class FactorGuesses {
  readonly #byAccount = new LRUCache<string, Counted>({ max: ACCOUNTS_MAX });

  constructor(private readonly clock: Clock) {}

  /** How long no code is looked at; 0: it is now. */
  waitMs(account: string): number {
    const known = this.#byAccount.get(account);
    const nowMs = this.clock.nowMs();
    // Where the clock was set back, nobody knows how long ago it was.
    if (known === undefined || nowMs < known.atMs) return 0;
    return Math.max(0, known.nextMs - nowMs);
  }

  wrong(account: string): void {
    const nowMs = this.clock.nowMs();
    const before = this.#byAccount.get(account) ?? { failures: 0, atMs: nowMs };
    const elapsedMs = Math.max(0, nowMs - before.atMs);
    const failures = before.failures * 2 ** (-elapsedMs / HALF_LIFE_MS) + 1;
    const nextMs = nowMs + delayMsAfter(failures);
    this.#byAccount.set(account, { failures, atMs: nowMs, nextMs });
  }

  right(account: string): void {
    this.#byAccount.delete(account);
  }
}

function delayMsAfter(failures: number): number {
  if (failures < FREE_FAILURES) return 0;
  return Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** (failures - FREE_FAILURES));
}
