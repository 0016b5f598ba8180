import type { Logger } from '../../platform/telemetry/logger.js';
import type { StandingFacts } from '../api-keys/standing.js';
import type { Heard, RelayStore } from './relay-store.js';
import type { MonotonicMs } from './routing-lease.js';
import type { RoutingRight } from './routing-right.js';

const POLL_INTERVAL_MS = 200;
/** A replica that has seen the database itself so lately has nothing to ask others. */
const SEEN_MS = 400;
/** Answers to one question; a thousand changes each. */
const ANSWERS_MAX = 20;

export interface FollowerParts {
  readonly store: Pick<RelayStore, 'hear'>;
  readonly right: RoutingRight;
  readonly take: (standings: readonly StandingFacts[]) => void;
  readonly logger: Logger;
  readonly now?: MonotonicMs;
}

/** While this replica does not see the database: what others, who do, say of it in Redis. */
export class RoutingFollower {
  readonly #now: MonotonicMs;
  #seenAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #asking = false;
  #doubting = false;

  constructor(private readonly parts: FollowerParts) {
    this.#now = parts.now ?? (() => performance.now());
  }

  start(): void {
    this.#timer = setInterval(() => void this.ask(), POLL_INTERVAL_MS).unref();
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  /** This replica has seen the database itself. */
  looked(): void {
    this.#seenAt = this.#now();
  }

  /** Never rejects. */
  async ask(): Promise<void> {
    if (this.#asking || this.#now() - this.#seenAt < SEEN_MS) return;
    this.#asking = true;
    try {
      await this.#askAll();
    } catch {
      // Neither the database nor Redis: the lease runs out.
    } finally {
      this.#asking = false;
    }
  }

  async #askAll(): Promise<void> {
    const { right, store } = this.parts;
    for (let answers = 0; answers < ANSWERS_MAX; answers += 1) {
      const known = right.known;
      if (known === null) return;
      const askedAt = this.#now();
      const heard = await store.hear(known.version);
      // Nobody has told anything: nothing speaks against what this replica knows, and nothing for it.
      if (heard === null) return;
      if (heard.line !== known.line || known.version < heard.floor) return this.#doubt(heard);
      if (heard.version < known.version) return;
      this.#doubting = false;
      this.#take(heard, askedAt);
      if (heard.complete) return;
    }
  }

  #take(heard: Heard, askedAt: number): void {
    const { line, routingEnabled, changes, complete, ageMs } = heard;
    this.parts.take(changes);
    this.parts.right.told({
      line,
      routingEnabled,
      version: complete ? heard.version : (changes.at(-1)?.version ?? heard.version),
      askedAt: complete && ageMs !== null ? askedAt - ageMs : null,
    });
  }

  /** Others know a database that this replica does not: there may be a kill among what it missed. */
  #doubt(heard: Heard): void {
    if (heard.ageMs === null) return;
    this.parts.right.doubt();
    if (this.#doubting) return;
    this.#doubting = true;
    this.parts.logger.warn(
      'other replicas see changes that this one cannot: it passes calls through until it reaches Postgres',
    );
  }
}
