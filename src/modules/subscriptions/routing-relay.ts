import type { StandingFacts } from '../api-keys/standing.js';
import type { TenancyLook } from '../api-keys/tenancy-watch.js';
import type { MonotonicMs } from './routing-lease.js';
import type { RelayStore } from './relay-store.js';

/** Changes that wait for a Redis that is away; beyond, replicas that saw none of them must ask the database. */
const WAITING_MAX = 1_000;

/**
 * Passes on what this replica sees of the database to those that reach only Redis. Every replica does; one that is
 * late writes nothing. Never waited for, and never more than one message under way.
 */
export class RoutingRelay {
  #latest: TenancyLook | null = null;
  /** Where the waiting changes begin. */
  #from = 0;
  #waiting = new Map<string, StandingFacts>();
  #telling: Promise<void> | null = null;
  /** What stood in Redis, and when that was known. */
  #stood: { readonly line: string; readonly version: number; readonly at: number } | null = null;

  constructor(
    private readonly store: Pick<RelayStore, 'tell'>,
    private readonly now: MonotonicMs = () => performance.now(),
  ) {}

  looked(look: TenancyLook): void {
    const continues = this.#latest?.line === look.line && look.from !== null;
    if (!continues || this.#waiting.size + look.changes.length > WAITING_MAX) {
      this.#waiting.clear();
      // Of a batch that is too large to wait, those who saw its end need nothing else.
      this.#from = continues && look.changes.length <= WAITING_MAX ? look.from : look.version;
    }
    if (this.#from < look.version) {
      for (const change of look.changes) this.#waiting.set(change.orgId, change);
    }
    this.#latest = look;
    this.#telling ??= this.#tellAll().finally(() => {
      this.#telling = null;
    });
  }

  /** Resolves when what was seen so far is told, or cannot be. */
  async settled(): Promise<void> {
    await this.#telling;
  }

  async #tellAll(): Promise<void> {
    for (let told: TenancyLook | null = null; told !== this.#latest;) {
      told = this.#latest;
      if (told === null || !(await this.#tell(told))) return;
    }
  }

  async #tell(look: TenancyLook): Promise<boolean> {
    const from = this.#from;
    const changes = [...this.#waiting.values()];
    const stood = this.#stood;
    // What stood there was read from the database before this look began: the counter has gone back since.
    const anew =
      stood !== null &&
      stood.line === look.line &&
      stood.at < look.startedAt &&
      look.version < stood.version;
    try {
      const version = await this.store.tell({
        line: look.line,
        from: anew ? look.version : from,
        version: look.version,
        routingEnabled: look.routingEnabled,
        changes: anew ? [] : changes,
        anew,
        ageMs: look.complete ? this.now() - look.startedAt : null,
      });
      this.#stood = { line: look.line, version, at: this.now() };
      for (const change of changes) {
        if (this.#waiting.get(change.orgId) === change) this.#waiting.delete(change.orgId);
      }
      if (this.#from === from) this.#from = look.version;
      return true;
    } catch {
      // Redis is away, which its connection reports: the next look tries again.
      return false;
    }
  }
}
