import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';

export class Crash extends Error {
  override readonly name = 'Crash';
}

/**
 * A process that dies at one moment: there is one before and one after each query, each begin and each commit. What
 * was committed by then stays; nothing that comes after it reaches the database.
 */
export class CrashingDatabase {
  /** Moments that passed. */
  moments = 0;
  #dead = false;

  constructor(
    private readonly inner: Database,
    /** Infinity: it lives. */
    private readonly diesAt: number,
  ) {}

  /** As what the business knows it. */
  get asDatabase(): Database {
    return this as unknown as Database;
  }

  get died(): boolean {
    return this.#dead;
  }

  async query<Row>(sql: string, parameters?: readonly unknown[]): Promise<Row[]> {
    return this.#around(() => this.inner.query<Row>(sql, parameters));
  }

  async transaction<T>(work: (q: Queryable) => Promise<T>): Promise<T> {
    return this.#around(() => this.inner.transaction((q) => this.#within(q, work)));
  }

  async tenant<T>(orgId: string, work: (q: Queryable) => Promise<T>): Promise<T> {
    return this.#around(() => this.inner.tenant(orgId, (q) => this.#within(q, work)));
  }

  async #within<T>(q: Queryable, work: (q: Queryable) => Promise<T>): Promise<T> {
    const result = await work({
      query: (sql, parameters) => this.#around(() => q.query(sql, parameters)),
    });
    this.#moment();
    return result;
  }

  async #around<T>(effect: () => Promise<T>): Promise<T> {
    this.#moment();
    const result = await effect();
    this.#moment();
    return result;
  }

  #moment(): void {
    this.moments += 1;
    if (this.moments === this.diesAt) this.#dead = true;
    if (this.#dead) throw new Crash();
  }
}
