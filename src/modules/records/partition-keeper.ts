import type { Clock } from '../../platform/clock.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import { systemSchedule, withDeadline, type Schedule } from './schedule.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const RETRY_MS = 10 * 60 * 1000;
const TIMEOUT_MS = 30_000;
/** The previous month, this one and the next three: a spool replayed late finds its partition, and so does next month. */
const MONTHS = 5;

/** Makes the partitions of `request_log` that will be needed and drops those whose retention is over. Any number of replicas may. */
export class PartitionKeeper {
  readonly #failures;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(
    private readonly database: Queryable,
    private readonly clock: Clock,
    metrics: Metrics,
    private readonly logger: Logger,
    private readonly schedule: Schedule = systemSchedule,
  ) {
    this.#failures = metrics.counter(
      'shunt_partition_keeper_failures_total',
      'Failed runs of the upkeep of request_log partitions.',
    );
  }

  /** At start, then daily; a failed run is tried again sooner. */
  async start(): Promise<void> {
    const ok = await this.run();
    if (this.#stopped) return;
    this.#cancel = this.schedule.after(ok ? DAY_MS : RETRY_MS, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** One run; false, logged and counted, where it failed. Never throws. */
  async run(): Promise<boolean> {
    try {
      await this.#query('SELECT ensure_request_log_partitions($1::date, $2)', [
        previousMonth(this.clock.nowMs()),
        MONTHS,
      ]);
      const dropped = await this.#query<{ partition: string }>(
        'SELECT partition FROM drop_expired_request_log_partitions($1) AS partition',
        [new Date(this.clock.nowMs()).toISOString()],
      );
      if (dropped.length > 0) {
        const partitions = dropped.map((row) => row.partition);
        this.logger.info({ partitions }, 'request_log partitions dropped');
      }
      return true;
    } catch (error) {
      this.#failures.inc();
      this.logger.error({ err: safeError(error) }, 'upkeep of request_log partitions failed');
      return false;
    }
  }

  #query<Row>(sql: string, parameters: readonly unknown[]): Promise<Row[]> {
    return withDeadline(this.schedule, TIMEOUT_MS, this.database.query<Row>(sql, parameters));
  }
}

function previousMonth(nowMs: number): string {
  const now = new Date(nowMs);
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1))
    .toISOString()
    .slice(0, 10);
}
