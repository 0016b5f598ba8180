import type { SubscriptionStatus } from '../../domain/subscription/status.js';

/** How an organization stood at one value of the counter of changes. */
export interface StandingFacts {
  readonly orgId: string;
  readonly version: number;
  readonly status: SubscriptionStatus;
  /** An operator's hold on routing. */
  readonly hold: boolean;
}

/**
 * How an organization stands now: one object, shared by the principals of all its keys and by the calls that are under
 * way, and changed in place. Reading it costs a call nothing.
 */
export type Standing = StandingFacts;

type Mutable<T> = { -readonly [Member in keyof T]: T[Member] };

/** Older than every version that a database gives. */
const NEVER = -1;

/**
 * The standing of every organization that somebody still holds on to. A change is taken in once per organization,
 * however many of its keys are in memory; an older fact never replaces a newer one.
 */
export class Standings {
  readonly #live = new Map<string, WeakRef<Mutable<Standing>>>();
  readonly #gone = new FinalizationRegistry<string>((orgId) => {
    if (this.#live.get(orgId)?.deref() === undefined) this.#live.delete(orgId);
  });

  /** The one standing of the organization, after these facts. */
  of(facts: StandingFacts): Standing {
    const known = this.#live.get(facts.orgId)?.deref();
    if (known !== undefined) {
      update(known, facts);
      return known;
    }
    const { orgId, version, status, hold } = facts;
    const standing = { orgId, version, status, hold };
    this.#live.set(orgId, new WeakRef(standing));
    this.#gone.register(standing, orgId);
    return standing;
  }

  /** Of organizations that nobody holds on to, nothing is kept. */
  take(facts: StandingFacts): void {
    const known = this.#live.get(facts.orgId)?.deref();
    if (known !== undefined) update(known, facts);
  }

  /**
   * The counter began anew: these facts hold, whatever was known before. An organization that is not among them is
   * not in the database, and routes nothing.
   */
  restart(all: readonly StandingFacts[]): void {
    for (const standing of this.#each()) {
      standing.version = NEVER;
      standing.hold = true;
    }
    for (const facts of all) this.take(facts);
  }

  organizations(): string[] {
    return [...this.#each()].map(({ orgId }) => orgId);
  }

  *#each(): Generator<Mutable<Standing>> {
    for (const reference of this.#live.values()) {
      const standing = reference.deref();
      if (standing !== undefined) yield standing;
    }
  }
}

function update(standing: Mutable<Standing>, facts: StandingFacts): void {
  if (facts.version < standing.version) return;
  standing.version = facts.version;
  standing.status = facts.status;
  standing.hold = facts.hold;
}
