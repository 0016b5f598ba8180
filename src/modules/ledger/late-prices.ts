import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { buildCatalog, type Catalog } from '../catalog/catalog.js';
import { LEFT_BECAUSE, type LeftBecause } from './late-rating.js';
import { correctNextWithin } from './ledger-corrections.js';
import { PriceLists } from './price-lists.js';
import { dropExpiredWithin, priceNextWithin } from './unpriced-calls.js';

const ORGANIZATIONS_PER_PAGE = 200;
const ORGANIZATIONS_PER_RUN = 20_000;
/** Of one organization in one run, of either kind; the rest waits for the next. */
const BATCHES_PER_RUN = 1_000;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
const AFTER_ALL = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** What became of the ledgers that were looked at. */
interface Tally {
  /** Entries that were taken back and said anew. */
  corrected: number;
  /** Calls that had no price when they were made, and have one now. */
  priced: number;
  /** Entries that could not be compared and stay as they are. */
  readonly left: Record<LeftBecause, number>;
}

export interface LatePricesRun extends Readonly<Tally> {
  readonly organizations: number;
  /** Organizations whose turn failed; the log says which. */
  readonly failed: number;
}

/**
 * Says in the ledger what prices that were learned late change: an agreement for days that are over, and the price of a
 * call that had none. One writer of adjustments of an organization at a time; each batch is a transaction, so that a run
 * may end anywhere and the next goes on there.
 */
export class LatePrices {
  /** The organization that was looked at last: the next run goes on behind it, so that all of them get their turn. */
  #last = BEFORE_ALL;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly catalog: () => Catalog = buildCatalog,
    private readonly organizationsPerRun = ORGANIZATIONS_PER_RUN,
  ) {}

  /** Every organization that has something new, within the bounds of a run; one that they leave out comes next time. */
  async adjustDue(signal?: AbortSignal): Promise<LatePricesRun> {
    const run = { organizations: 0, failed: 0, ...emptyTally() };
    let lists: PriceLists | null = null;
    for await (const orgId of this.#due()) {
      if (signal?.aborted || run.organizations >= this.organizationsPerRun) return run;
      this.#last = orgId;
      run.organizations += 1;
      lists ??= new PriceLists(this.catalog());
      const turn = emptyTally();
      try {
        await this.#adjust(orgId, lists, turn, signal);
      } catch (error) {
        run.failed += 1;
        this.logger.error({ orgId, err: safeError(error) }, 'a ledger could not be adjusted');
      }
      this.#count(orgId, turn, run);
    }
    return run;
  }

  async #adjust(
    orgId: string,
    lists: PriceLists,
    turn: Tally,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      await this.#correct(orgId, lists, turn, signal);
      await this.#price(orgId, lists, turn, signal);
    } finally {
      await this.#dropExpired(orgId, signal);
    }
  }

  /** Once round, from behind the one that was looked at last up to it. */
  async *#due(): AsyncGenerator<string> {
    const last = this.#last;
    yield* this.#dueBetween(last, AFTER_ALL);
    yield* this.#dueBetween(BEFORE_ALL, last);
  }

  async *#dueBetween(from: string, to: string): AsyncGenerator<string> {
    for (let after = from; after < to;) {
      const page = await this.#dueAfter(after);
      yield* page.filter((orgId) => orgId <= to);
      after = page.length < ORGANIZATIONS_PER_PAGE ? to : page.at(-1)!;
    }
  }

  async #correct(
    orgId: string,
    lists: PriceLists,
    turn: Tally,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      if (signal?.aborted) return;
      const done = await this.#alone(orgId, (q) =>
        correctNextWithin(q, orgId, lists, this.clock.nowMs()),
      );
      if (done === null) return;
      turn.corrected += done.corrected;
      for (const why of done.left) turn.left[why] += 1;
    }
  }

  async #price(
    orgId: string,
    lists: PriceLists,
    turn: Tally,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      if (signal?.aborted) return;
      const priced = await this.#alone(orgId, (q) =>
        priceNextWithin(q, orgId, lists.newest, this.clock.nowMs()),
      );
      if (priced === null) return;
      turn.priced += priced;
    }
  }

  async #dropExpired(orgId: string, signal: AbortSignal | undefined): Promise<void> {
    const nowMs = this.clock.nowMs();
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      if (signal?.aborted) return;
      const isMore = await this.database.tenant(orgId, (q) => dropExpiredWithin(q, orgId, nowMs));
      if (!isMore) return;
    }
  }

  /** Null too where another replica is at this organization. */
  #alone<T>(orgId: string, work: (q: Queryable) => Promise<T | null>): Promise<T | null> {
    return this.database.tenant(orgId, async (q) => {
      const [lock] = await q.query<{ held: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('shunt.late_prices.' || $1, 0)) AS held`,
        [orgId],
      );
      return lock?.held === true ? work(q) : null;
    });
  }

  #count(orgId: string, turn: Tally, run: Tally): void {
    run.corrected += turn.corrected;
    run.priced += turn.priced;
    for (const why of LEFT_BECAUSE) run.left[why] += turn.left[why];
    const isQuiet = LEFT_BECAUSE.every((why) => turn.left[why] === 0);
    if (turn.corrected === 0 && turn.priced === 0 && isQuiet) return;
    this.logger.info(
      { orgId, ...turn },
      'a ledger was compared with prices that were learned late',
    );
  }

  async #dueAfter(after: string): Promise<string[]> {
    const rows = await this.database.query<{ id: string }>(
      `SELECT organizations_with_late_prices($1, ${ORGANIZATIONS_PER_PAGE}) AS id`,
      [after],
    );
    return rows.map(({ id }) => id);
  }
}

function emptyTally(): Tally {
  return { corrected: 0, priced: 0, left: { no_record: 0, not_reproduced: 0, unpriceable: 0 } };
}
