import path from 'node:path';
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import type { CallRecord, StartRecord } from './call-record.js';
import type { RecordContext } from './record-context.js';
import { FSYNC_INTERVAL_MS, RECORD_LIMITS, type RecordLimits } from './record-limits.js';
import { QuietLog, RecordMetrics } from './record-metrics.js';
import { RecordQueue } from './record-queue.js';
import { RecordStore, type RecordDatabase } from './record-store.js';
import { RecordWriter } from './record-writer.js';
import { systemSchedule, type Schedule } from './schedule.js';
import { DeadLetters } from './spool/dead-letters.js';
import { LOOK_FOR_ORPHANS_MS, OrphanAdopter, type Liveness } from './spool/orphan-adopter.js';
import {
  HEARTBEAT_MS,
  currentIdentity,
  isAlive,
  type ProcessIdentity,
} from './spool/process-identity.js';
import { SegmentLog } from './spool/segment-log.js';
import { Spool } from './spool/spool.js';
import { nodeSpoolFiles, type SpoolFiles } from './spool/spool-files.js';
import { SpoolHome } from './spool/spool-home.js';
import { SpoolKeys } from './spool/spool-keys.js';

export interface CallRecorderOptions {
  readonly dataDir: string;
  readonly encryptionKeys: { readonly current: Buffer; readonly previous: Buffer | null };
  readonly database: RecordDatabase;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits?: RecordLimits;
  readonly files?: SpoolFiles;
  readonly schedule?: Schedule;
  readonly identity?: ProcessIdentity;
  readonly alive?: Liveness;
  readonly random?: () => number;
}

/**
 * The record of every call: spool, queue, writer and the adoption of dead processes' spools, wired together.
 * Making one touches neither disk nor database; one per process.
 */
export class CallRecorder {
  readonly spool: Spool;
  readonly writer: RecordWriter;
  readonly adopter: OrphanAdopter;
  readonly deadLetters: DeadLetters;
  readonly #context: RecordContext;
  readonly #home: SpoolHome;
  readonly #segments: SegmentLog;
  #timers: (() => void)[] = [];

  constructor(options: CallRecorderOptions) {
    const context = contextOf(options);
    const queue = new RecordQueue(context.limits);
    this.#context = context;
    this.#home = new SpoolHome(context, options.identity ?? currentIdentity());
    this.#segments = new SegmentLog(context, this.#home);
    this.spool = new Spool(context, this.#home, this.#segments, queue);
    this.adopter = new OrphanAdopter(context, this.#home, options.alive ?? isAlive);
    this.deadLetters = new DeadLetters(context, this.#home);
    this.writer = new RecordWriter(
      context,
      queue,
      new RecordStore(options.database, context.schedule),
      this.deadLetters,
      [this.spool, this.adopter],
      options.random,
    );
  }

  /** Before the upstream call, which begins in `onWritten`. Never throws, never waits for the disk or the database. */
  start(record: StartRecord, onWritten: () => void): void {
    this.spool.start(record, onWritten);
  }

  /** Before the answer's last byte, which is released in `onWritten`; and again for a later revision. As `start`. */
  finish(record: CallRecord, onWritten: () => void): void {
    this.spool.finish(record, onWritten);
  }

  /** Starts the timers and takes over what dead processes left. Needs no database. */
  run(): void {
    if (this.#timers.length > 0) return;
    const { schedule } = this.#context;
    this.#timers = [
      schedule.every(FSYNC_INTERVAL_MS, () => void this.housekeep()),
      schedule.every(HEARTBEAT_MS, () => this.spool.heartbeat()),
      schedule.every(LOOK_FOR_ORPHANS_MS, () => this.lookForOrphans()),
    ];
    this.lookForOrphans();
  }

  /** What the timers do: force to disk, end old segments, delete finished ones. */
  async housekeep(): Promise<void> {
    await this.spool.housekeep();
    await this.deadLetters.sync();
    this.writer.observe();
  }

  /** What the timers do: adopt what dead processes left, and measure the directory. */
  lookForOrphans(): void {
    this.adopter.look();
    this.#segments.measured(this.adopter.measureBytes());
    if (this.adopter.pending > 0) this.writer.wake();
  }

  /** Brings everything to Postgres; false if the time did not suffice (the rest is on disk). */
  async flush(timeoutMs: number): Promise<boolean> {
    this.spool.turn();
    return this.writer.flush(timeoutMs);
  }

  /** After the last call has ended: flushes, and leaves the rest to the next process. Before the database is closed. */
  async close(flushTimeoutMs: number): Promise<void> {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    await this.flush(flushTimeoutMs);
    this.writer.stop();
    await this.spool.close();
    await this.deadLetters.close();
    this.#home.release();
  }
}

function contextOf(options: CallRecorderOptions): RecordContext {
  return {
    root: path.join(options.dataDir, 'spool'),
    files: options.files ?? nodeSpoolFiles,
    keys: new SpoolKeys(options.encryptionKeys),
    limits: options.limits ?? RECORD_LIMITS,
    clock: options.clock,
    schedule: options.schedule ?? systemSchedule,
    metrics: new RecordMetrics(options.metrics),
    log: new QuietLog(options.logger, options.clock),
  };
}
