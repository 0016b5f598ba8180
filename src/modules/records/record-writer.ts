import { safeError } from '../../platform/telemetry/logger.js';
import type { RecordContext } from './record-context.js';
import type { Backlog, QueuedRecord, RecordQueue } from './record-queue.js';
import type { RecordStore, StoreResult } from './record-store.js';

/** How long a record waits for others to share its transaction. */
const BATCH_DELAY_MS = 200;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** Organizations written at the same time: each is a transaction of its own. */
const CONCURRENT_BATCHES = 3;

export type PassResult = 'idle' | 'progress' | 'failed';

/** Keeps the record that Postgres refused; false when it could not. */
export interface RefusedRecords {
  add(record: QueuedRecord, reason: string): boolean;
}

/** Winner of a batch's records of one request, and those that it replaces. */
interface Row {
  readonly record: QueuedRecord;
  readonly superseded: readonly QueuedRecord[];
}

/** Brings the queue to Postgres in batches. Never blocks an append, never gives up, holds a bounded number of records. */
export class RecordWriter {
  #passing: Promise<PassResult> | null = null;
  #cancelTimer: (() => void) | null = null;
  #timerIsForBatch = false;
  #inFlight: readonly QueuedRecord[] = [];
  #failures = 0;
  #stopped = false;

  constructor(
    private readonly context: RecordContext,
    private readonly queue: RecordQueue,
    private readonly store: RecordStore,
    private readonly refusedRecords: RefusedRecords,
    private readonly backlogs: readonly Backlog[],
    private readonly random: () => number = Math.random,
  ) {
    queue.onPush(() => this.wake());
  }

  /** Sees to it that what is queued, or on disk alone, is written soon. */
  wake(): void {
    if (this.#stopped || this.#passing !== null || this.#failures > 0) return;
    const full = this.queue.size >= this.context.limits.batchRecords;
    // A second alarm only where the first would be later than it has to be.
    if (this.#cancelTimer !== null && !(full && this.#timerIsForBatch)) return;
    this.#alarm(full ? 0 : BATCH_DELAY_MS, !full);
  }

  /** One bounded round: reads from disk if there is room, writes up to `passRecords`. One at a time. */
  async pass(): Promise<PassResult> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = null;
      if (this.queue.size > 0) this.wake();
    });
    return this.#passing;
  }

  /** Writes until nothing is left or the time is up; true if nothing is left. */
  async flush(timeoutMs: number): Promise<boolean> {
    const { schedule } = this.context;
    const expired = new Promise<'time_up'>((resolve) => {
      schedule.after(timeoutMs, () => resolve('time_up'));
    });
    for (;;) {
      const result = await Promise.race([this.pass(), expired]);
      if (result === 'idle') return true;
      if (result === 'time_up') return false;
      if (result === 'failed') await Promise.race([this.#pause(), expired]);
    }
  }

  /** Sets the gauges: after each round, and by the timer, since a database that hangs ends no round. */
  observe(): void {
    const { metrics, clock } = this.context;
    const held = [this.queue, ...this.backlogs].map((holder) => holder.oldestMs());
    const oldest = [this.#inFlight[0]?.queuedAtMs, ...held].flatMap((ms) => ms ?? []);
    const ageMs = oldest.length === 0 ? 0 : clock.nowMs() - Math.min(...oldest);
    metrics.queueDepth.set(this.queue.size + this.#inFlight.length);
    metrics.oldestUnwrittenSeconds.set(Math.max(0, ageMs) / 1000);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  async #pass(): Promise<PassResult> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const result = await this.#round();
    this.#failures = result === 'failed' ? this.#failures + 1 : 0;
    this.observe();
    if (this.#stopped) return result;
    if (result === 'failed') this.#alarm(this.#backoffMs(), false);
    else if (result === 'progress') this.#alarm(this.queue.size > 0 ? 0 : BATCH_DELAY_MS, false);
    return result;
  }

  async #round(): Promise<PassResult> {
    const read = await this.#refill();
    const taken = this.queue.take(this.context.limits.passRecords);
    this.#inFlight = taken;
    if (taken.length === 0) return read ? 'progress' : 'idle';
    const batches = this.#batches(taken);
    const unwritten: QueuedRecord[] = [];
    let failed = 0;
    const worker = async (): Promise<void> => {
      for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
        const left = await this.#write(batch);
        failed += left.length > 0 ? 1 : 0;
        unwritten.push(...left);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT_BATCHES }, worker));
    this.#inFlight = [];
    this.queue.putBack(unwritten);
    return failed > 0 ? 'failed' : 'progress';
  }

  async #refill(): Promise<boolean> {
    if (!this.queue.hasRoom()) return false;
    for (const backlog of this.backlogs) {
      try {
        if (await backlog.refill(this.queue)) return true;
      } catch (error) {
        this.context.log.error('backlog_failed', { err: safeError(error) });
      }
    }
    return false;
  }

  /** One organization's rows, at most a batch of them, the newest revision of each request. */
  #batches(records: readonly QueuedRecord[]): (readonly Row[])[] {
    const batches: (readonly Row[])[] = [];
    for (const ofOrganization of Map.groupBy(records, (record) => record.orgId).values()) {
      const requests = Map.groupBy(ofOrganization, (record) => record.requestId);
      // In one order everywhere: two processes that replay the same records cannot deadlock.
      const rows = [...requests.entries()]
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
        .map(([, revisions]) => newest(revisions));
      for (let at = 0; at < rows.length; at += this.context.limits.batchRecords) {
        batches.push(rows.slice(at, at + this.context.limits.batchRecords));
      }
    }
    return batches;
  }

  /** Returns what is still unwritten. */
  async #write(rows: readonly Row[]): Promise<QueuedRecord[]> {
    const { metrics, log } = this.context;
    const [first] = rows;
    if (first === undefined) return [];
    const waiting = new Map(rows.map((row) => [row.record, row]));
    const startedMs = performance.now();
    try {
      await this.store.store(
        first.record.orgId,
        rows.map((row) => row.record),
        (result) => {
          this.#settle(result, waiting.get(result.record));
          waiting.delete(result.record);
        },
      );
    } catch (error) {
      metrics.writeErrors.inc();
      log.warn('record_batch_failed', { err: safeError(error), records: waiting.size });
    }
    metrics.batchSeconds.observe((performance.now() - startedMs) / 1000);
    return [...waiting.values()].flatMap((row) => [row.record, ...row.superseded]);
  }

  #settle({ record, refused }: StoreResult, row: Row | undefined): void {
    const { metrics, log } = this.context;
    if (refused === null) {
      metrics.written.inc();
    } else if (this.refusedRecords.add(record, refused)) {
      metrics.deadLetters.inc();
      log.error('record_refused', { reason: refused });
    } else {
      metrics.lost.inc();
      log.error('records_lost', { records: 1, why: 'dead_letter_failed' });
    }
    for (const settled of [record, ...(row?.superseded ?? [])]) settled.origin.settled(settled);
  }

  #alarm(delayMs: number, isForBatch: boolean): void {
    this.#cancelTimer?.();
    this.#timerIsForBatch = isForBatch;
    this.#cancelTimer = this.context.schedule.after(delayMs, () => {
      this.#cancelTimer = null;
      void this.pass();
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.context.schedule.after(this.#backoffMs(), resolve));
  }

  /** Doubles up to the maximum; the jitter keeps replicas from coming back in step. */
  #backoffMs(): number {
    const doubled = BACKOFF_MIN_MS * 2 ** Math.min(this.#failures, 10);
    return Math.min(BACKOFF_MAX_MS, doubled) * (0.5 + this.random() / 2);
  }
}

function newest(revisions: readonly QueuedRecord[]): Row {
  const record = revisions.reduce((best, one) => (one.revision > best.revision ? one : best));
  return { record, superseded: revisions.filter((one) => one !== record) };
}
