import type { Logger } from '../../platform/telemetry/logger.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import type { Clock } from '../../platform/clock.js';

/** What the record pipeline counts. Loss has a counter of its own, and it is the one to alert on. */
export class RecordMetrics {
  readonly lost;
  readonly spoolWriteFailures;
  readonly spoolBytes;
  readonly damagedFrames;
  readonly unreadableSegments;
  readonly trimmed;
  readonly queueDepth;
  readonly oldestUnwrittenSeconds;
  readonly batchSeconds;
  readonly written;
  readonly writeErrors;
  readonly deadLetters;
  readonly adopted;
  readonly replayed;
  readonly interrupted;

  constructor(metrics: Metrics) {
    this.lost = metrics.counter(
      'shunt_spool_lost_records_total',
      'Records that reached neither the spool nor Postgres.',
    );
    this.spoolWriteFailures = metrics.counter(
      'shunt_spool_write_failures_total',
      'Failed writes to the spool; the records are held in memory.',
    );
    this.spoolBytes = metrics.gauge('shunt_spool_bytes', 'Size of the spool directory.');
    this.damagedFrames = metrics.counter(
      'shunt_spool_damaged_frames_total',
      'Frames that could not be read back: torn by a crash, or corrupt.',
      ['kind'] as const,
    );
    this.unreadableSegments = metrics.counter(
      'shunt_spool_unreadable_segments_total',
      'Segments that no known encryption key opens; they are kept aside.',
    );
    this.trimmed = metrics.counter(
      'shunt_records_trimmed_total',
      'Records that left out descriptive fields because they were over the size limit.',
    );
    this.queueDepth = metrics.gauge('shunt_record_queue_depth', 'Records waiting in memory.');
    this.oldestUnwrittenSeconds = metrics.gauge(
      'shunt_record_oldest_unwritten_seconds',
      'Age of the oldest record that Postgres does not have yet.',
    );
    this.batchSeconds = metrics.histogram(
      'shunt_record_batch_seconds',
      'Time of one batch to Postgres.',
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    );
    this.written = metrics.counter('shunt_records_written_total', 'Records written to Postgres.');
    this.writeErrors = metrics.counter(
      'shunt_record_write_errors_total',
      'Batches that Postgres did not take; they are tried again.',
    );
    this.deadLetters = metrics.counter(
      'shunt_record_dead_letters_total',
      'Records that Postgres refused, kept in the dead-letter files.',
    );
    this.adopted = metrics.counter('shunt_spool_adopted_total', 'Spools of dead processes taken.');
    this.replayed = metrics.counter('shunt_records_replayed_total', 'Records read from disk.');
    this.interrupted = metrics.counter(
      'shunt_records_interrupted_total',
      'Calls whose process ended before they did.',
    );
  }
}

/** At most one line per event and period: a full disk fails thousands of times a second. */
export const LOG_PERIOD_MS = 10_000;

/** Logs of the record pipeline: an event, an error's class and code, counts; never a record. */
export class QuietLog {
  readonly #lastMs = new Map<string, number>();

  constructor(
    private readonly logger: Logger,
    private readonly clock: Clock,
  ) {}

  error(event: string, details: Readonly<Record<string, unknown>>): void {
    if (this.#due(event)) this.logger.error({ event, ...details }, event);
  }

  warn(event: string, details: Readonly<Record<string, unknown>>): void {
    if (this.#due(event)) this.logger.warn({ event, ...details }, event);
  }

  info(event: string, details: Readonly<Record<string, unknown>>): void {
    this.logger.info({ event, ...details }, event);
  }

  /** The map is as large as the set of event names, which is fixed in the code. */
  #due(event: string): boolean {
    const nowMs = this.clock.nowMs();
    const lastMs = this.#lastMs.get(event);
    if (lastMs !== undefined && nowMs - lastMs < LOG_PERIOD_MS) return false;
    this.#lastMs.set(event, nowMs);
    return true;
  }
}
