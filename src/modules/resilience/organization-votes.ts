import {
  COUNTED_FAILURES_MIN,
  FAILURES_PER_ORGANIZATION_MAX,
  ORGANIZATIONS_MAX,
  WINDOW_MS,
} from './breaker-rules.js';

/** For whom a breaker is open: for everybody, or only for those whose own calls fail. */
export type Scope = 'all' | ReadonlySet<string>;

interface Votes {
  failed: number;
  succeeded: number;
}

const HALF_MS = WINDOW_MS / 2;

/** Who has met failures and who has not, lately: no organization can speak for the others. */
export class OrganizationVotes {
  #current = new Map<string, Votes>();
  #previous = new Map<string, Votes>();
  #turnedAtMs: number;

  constructor(nowMs: number) {
    this.#turnedAtMs = nowMs;
  }

  add(orgId: string, nowMs: number, vote: Readonly<Votes>): void {
    this.#turn(nowMs);
    let votes = this.#current.get(orgId);
    if (votes === undefined) {
      votes = { failed: 0, succeeded: 0 };
      if (this.#current.size >= ORGANIZATIONS_MAX) {
        for (const oldest of this.#current.keys()) {
          this.#current.delete(oldest);
          break;
        }
      }
      this.#current.set(orgId, votes);
    }
    votes.failed += vote.failed;
    votes.succeeded += vote.succeeded;
  }

  /**
   * `all` where at least two organizations, more than half of those heard of, have at least half of their calls failed,
   * with enough failures between them when no one's count beyond a few; else those organizations themselves.
   */
  scope(nowMs: number): Scope {
    this.#turn(nowMs);
    const failing = new Set<string>();
    let heard = 0;
    let counted = 0;
    for (const [orgId, { failed, succeeded }] of this.#together()) {
      heard += 1;
      if (failed === 0 || failed < succeeded) continue;
      failing.add(orgId);
      counted += Math.min(failed, FAILURES_PER_ORGANIZATION_MAX);
    }
    // No one's failures alone come to so many.
    const isShared = failing.size * 2 > heard && counted >= COUNTED_FAILURES_MIN;
    return isShared ? 'all' : failing;
  }

  clear(): void {
    this.#current.clear();
    this.#previous.clear();
  }

  #together(): Map<string, Votes> {
    const sums = new Map(this.#previous);
    for (const [orgId, votes] of this.#current) {
      const before = this.#previous.get(orgId);
      sums.set(orgId, {
        failed: votes.failed + (before?.failed ?? 0),
        succeeded: votes.succeeded + (before?.succeeded ?? 0),
      });
    }
    return sums;
  }

  #turn(nowMs: number): void {
    const turns = Math.floor((nowMs - this.#turnedAtMs) / HALF_MS);
    if (turns === 0) return;
    // A clock that was put back begins anew.
    this.#turnedAtMs = turns > 0 ? this.#turnedAtMs + turns * HALF_MS : nowMs;
    if (turns < 0) return;
    this.#previous = turns === 1 ? this.#current : new Map();
    this.#current = new Map();
  }
}
