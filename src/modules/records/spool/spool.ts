import { safeError } from '../../../platform/telemetry/logger.js';
import type { CallRecord, StartRecord } from '../call-record.js';
import type { RecordContext } from '../record-context.js';
import { interruptedRecord, recordJson, type LineKind } from '../record-line.js';
import type { Backlog, QueuedRecord, RecordOrigin, RecordQueue } from '../record-queue.js';
import { OverflowReader } from './overflow-reader.js';
import type { Segment, SegmentLog } from './segment-log.js';
import type { SpoolHome } from './spool-home.js';

/** A record of this process. `segment` is null while no disk holds it. */
interface Entry extends QueuedRecord {
  readonly kind: LineKind;
  segment: Segment | null;
}

/**
 * The spool of this process. Records appended in one turn of the event loop are encrypted as one frame and
 * written with one system call at the turn's end, into the page cache: a killed process loses nothing that
 * it was told is written, a dead host at most `FSYNC_INTERVAL_MS`. A disk that refuses never holds up a
 * call: the records go on to Postgres from memory, and to disk once it takes them again.
 */
export class Spool implements RecordOrigin, Backlog {
  readonly #open = new Map<string, Entry>();
  /** To be written to disk (again): refused by the disk, or pinning a segment that is otherwise done. */
  readonly #rewrites = new Set<Entry>();
  readonly #overflow: OverflowReader;
  #group: Entry[] = [];
  #groupText = '';
  #written: (() => void)[] = [];
  #turnDue = false;
  #closed = false;

  constructor(
    private readonly context: RecordContext,
    private readonly home: SpoolHome,
    private readonly segments: SegmentLog,
    private readonly queue: RecordQueue,
  ) {
    this.#overflow = new OverflowReader(context, segments, this);
  }

  /** Notes that a call begins. `onWritten` runs once the record is as safe as this machine makes it; never throws. */
  start(record: StartRecord, onWritten: () => void): void {
    this.#append('s', record, 0, onWritten);
  }

  /** Notes how a call ended, or a later revision of that. `onWritten` as for `start`; never throws. */
  finish(record: CallRecord, onWritten: () => void): void {
    this.#append('f', record, record.revision, onWritten);
  }

  /** The end of a turn of the event loop: writes what it appended, then tells whom it concerns. */
  turn(): void {
    this.#turnDue = false;
    if (this.home.inDoubt()) this.heartbeat();
    this.#writeGroup();
    this.#rewrite();
    const written = this.#written;
    this.#written = [];
    for (const callback of written) {
      try {
        callback();
      } catch (error) {
        this.context.log.error('record_callback_failed', { err: safeError(error) });
      }
    }
  }

  settled(record: QueuedRecord): void {
    const entry = record as Entry;
    if (entry.segment === null) {
      this.#rewrites.delete(entry);
      this.#release(entry.requestId);
      return;
    }
    entry.segment.queued -= 1;
    if (entry.segment.queued === 0 && entry.segment.descriptor === null) this.prune();
  }

  /** Deletes segments that hold nothing any more, oldest first, so that a final never goes before its start. */
  prune(): void {
    for (;;) {
      const oldest = this.segments.oldest;
      if (oldest === undefined || oldest.descriptor !== null) return;
      if (oldest.queued > 0 || oldest.overflowed > 0) return;
      if (oldest.openStarts > 0) {
        this.#carryOver(oldest);
        return;
      }
      this.segments.removeOldest();
    }
  }

  async refill(queue: RecordQueue): Promise<boolean> {
    const found = await this.#overflow.refill(queue);
    this.prune();
    return found;
  }

  oldestMs(): number | null {
    return this.segments.segments.find((segment) => segment.overflowed > 0)?.createdAtMs ?? null;
  }

  /** Every `FSYNC_INTERVAL_MS`. */
  async housekeep(): Promise<void> {
    this.segments.closeAged();
    this.prune();
    if (this.#rewrites.size > 0) this.#wake();
    const failed = await this.segments.sync();
    if (failed !== null) this.#carryOver(failed);
  }

  /** Every `HEARTBEAT_MS`, and before writing after a long pause. */
  heartbeat(): void {
    if (this.home.beat()) return;
    // Declared dead while stopped: the directory and all that is in it is another process's to replay.
    this.context.log.error('spool_taken_over', { openCalls: this.#open.size });
    this.segments.abandon();
    this.home.renew();
    for (const entry of this.#open.values()) {
      entry.segment = null;
      this.#rewrites.add(entry);
    }
    this.#wake();
  }

  /** Ends the spool: what is not in Postgres stays on disk for the next process. */
  async close(): Promise<void> {
    this.turn();
    this.#closed = true;
    while (this.#rewrites.size > 0) {
      const before = this.#rewrites.size;
      this.#rewrite();
      if (this.#rewrites.size === before) break;
    }
    const inMemory = [...this.#rewrites].filter((entry) => entry.segment === null);
    // Start and final of one call are one loss.
    const lost = new Set(inMemory.map((entry) => entry.requestId)).size;
    if (lost > 0) this.lose(lost, 'closed_without_disk');
    this.segments.closeActive();
    this.prune();
    await this.segments.retired();
  }

  lose(records: number, why: string): void {
    this.context.metrics.lost.inc(records);
    this.context.log.error('records_lost', { records, why });
  }

  #append(
    kind: LineKind,
    record: StartRecord | CallRecord,
    revision: number,
    onWritten: () => void,
  ): void {
    const { limits, clock, metrics } = this.context;
    this.#written.push(onWritten);
    this.#wake();
    const made = this.#closed ? null : recordJson(record, limits.recordChars);
    if (made === null) {
      this.lose(1, this.#closed ? 'spool_closed' : 'record_too_large');
      return;
    }
    if (made.trimmed) metrics.trimmed.inc();
    this.#group.push({
      kind,
      orgId: record.org_id,
      requestId: record.request_id,
      startedAtMs: record.started_at_ms,
      revision,
      json: made.json,
      queuedAtMs: clock.nowMs(),
      origin: this,
      segment: null,
    });
    this.#groupText += `${kind}${made.json}\n`;
    // The callbacks still wait for the end of the turn: nobody is called back inside their own call.
    if (this.#groupText.length >= limits.groupChars) this.#writeGroup();
  }

  #wake(): void {
    if (this.#turnDue) return;
    this.#turnDue = true;
    this.context.schedule.soon(() => this.turn());
  }

  #writeGroup(): void {
    if (this.#group.length === 0) return;
    const group = this.#group;
    const text = this.#groupText;
    this.#group = [];
    this.#groupText = '';
    const segment = this.segments.write(text, group.length);
    for (const entry of group) {
      if (entry.kind === 's') this.#started(entry, segment);
      else this.#finished(entry, segment);
    }
  }

  #started(entry: Entry, segment: Segment | null): void {
    this.#release(entry.requestId);
    this.#open.set(entry.requestId, entry);
    this.#placed(entry, segment);
    if (this.#open.size <= this.context.limits.openStarts) return;
    const [oldest] = this.#open.values();
    if (oldest !== undefined) this.#giveUp(oldest);
  }

  #finished(entry: Entry, segment: Segment | null): void {
    const queued = this.queue.push(entry);
    if (segment === null) {
      if (queued) this.#rewrites.add(entry);
      else this.lose(1, 'disk_and_queue_full');
      return;
    }
    entry.segment = segment;
    if (queued) segment.queued += 1;
    else segment.overflowed += 1;
    this.#release(entry.requestId);
  }

  #placed(start: Entry, segment: Segment | null): void {
    start.segment = segment;
    if (segment === null) this.#rewrites.add(start);
    else segment.openStarts += 1;
  }

  /** The call's end is safe: its start is not needed any more. */
  #release(requestId: string): void {
    const start = this.#open.get(requestId);
    if (start === undefined) return;
    this.#open.delete(requestId);
    this.#rewrites.delete(start);
    if (start.segment !== null) start.segment.openStarts -= 1;
  }

  /** More calls are open than can be: the oldest counts as interrupted, until its end is heard of after all. */
  #giveUp(start: Entry): void {
    this.context.metrics.interrupted.inc();
    this.context.log.warn('open_calls_over_limit', { limit: this.context.limits.openStarts });
    this.#release(start.requestId);
    this.finish(interruptedRecord(JSON.parse(start.json) as StartRecord), () => undefined);
  }

  #carryOver(segment: Segment): void {
    if (segment.carrying || this.#closed) return;
    segment.carrying = true;
    for (const start of this.#open.values()) {
      if (start.segment === segment) this.#rewrites.add(start);
    }
    this.#wake();
  }

  /** Writes a bounded part of what waits for it; the rest follows in the next turns. */
  #rewrite(): void {
    if (this.#rewrites.size === 0 || this.segments.refusing()) return;
    const entries: Entry[] = [];
    let text = '';
    for (const entry of this.#rewrites) {
      entries.push(entry);
      text += `${entry.kind}${entry.json}\n`;
      if (text.length >= this.context.limits.rewriteChars) break;
    }
    const segment = this.segments.write(text, entries.length);
    if (segment === null) return;
    for (const entry of entries) {
      this.#rewrites.delete(entry);
      if (entry.kind === 'f') {
        entry.segment = segment;
        segment.queued += 1;
        this.#release(entry.requestId);
      } else {
        if (entry.segment !== null) entry.segment.openStarts -= 1;
        this.#placed(entry, segment);
      }
    }
    this.prune();
    if (this.#rewrites.size > 0 && !this.#closed) this.#wake();
  }
}
