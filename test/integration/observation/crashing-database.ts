import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';

export class Crash extends Error {
  override readonly name = 'Crash';
}

/**
 * A process that dies at one moment: there is one before and one after each query, each begin and each commit. What
 * was committed by then stays; nothing that comes after it reaches the database. A report reads the same of each day: to
 * die at its third reading is to die at its second, so that moments are counted for the first two alone.
 */
export class CrashingDatabase {
  /** Moments that passed. */
  moments = 0;
  #dead = false;
  readonly #readings = new Map<string, number>();

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
      query: <Row>(sql: string, parameters?: readonly unknown[]) => {
        const effect = () => q.query<Row>(sql, parameters);
        return this.#isReadAgain(sql) ? this.#unlessDead(effect) : this.#around(effect);
      },
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

  #isReadAgain(sql: string): boolean {
    if (!/^\s*(?:SELECT|WITH)\b/i.test(sql)) return false;
    const times = (this.#readings.get(sql) ?? 0) + 1;
    this.#readings.set(sql, times);
    return times > 2;
  }

  async #unlessDead<T>(effect: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new Crash();
    return effect();
  }

  #moment(): void {
    this.moments += 1;
    if (this.moments === this.diesAt) this.#dead = true;
    if (this.#dead) throw new Crash();
  }
}
