import path from 'node:path';
import { safeError } from '../../../platform/telemetry/logger.js';
import type { StartRecord } from '../call-record.js';
import type { RecordContext } from '../record-context.js';
import { interruptedRecord, parseLine, type SpoolLine } from '../record-line.js';
import type { QueuedRecord, RecordOrigin, RecordQueue } from '../record-queue.js';
import { decodeSegment, type DecodedSegment } from './segment-format.js';
import { ownerFile } from './spool-home.js';

/** How often a segment that the disk does not give is tried before it is put aside. */
const READ_ATTEMPTS = 3;
/** Interrupted records put on the queue in one step. */
const INTERRUPTED_PER_STEP = 5_000;

const SEGMENT_NAME = /\.seg$/;

/**
 * Brings one dead process's spool to Postgres: its finals as they are, its starts without a final as
 * interrupted. Files are deleted once all of it is settled; until then another process can do all of it
 * again, with the same result.
 */
export class OrphanReplay implements RecordOrigin {
  readonly #starts = new Map<string, StartRecord>();
  readonly #sizes = new Map<string, number>();
  #segments: string[];
  #next = 0;
  #attempts = 0;
  #outstanding = 0;
  /** A file in here could be neither read nor put aside: the directory stays. */
  #kept = false;

  constructor(
    private readonly context: RecordContext,
    readonly directory: string,
  ) {
    this.#segments = this.#list();
  }

  settled(): void {
    this.#outstanding -= 1;
  }

  /** One bounded step. `waiting`: what was put on the queue is not in Postgres yet. */
  async step(queue: RecordQueue): Promise<'progress' | 'waiting' | 'done'> {
    const name = this.#segments[this.#next];
    if (name !== undefined) {
      await this.#readSegment(name, queue);
      return 'progress';
    }
    if (this.#starts.size > 0) {
      this.#interrupt(queue, INTERRUPTED_PER_STEP);
      return 'progress';
    }
    if (this.#outstanding > 0) return 'waiting';
    if (this.#kept) return 'done';
    if (this.#grewMeanwhile()) return 'progress';
    this.#remove();
    return 'done';
  }

  async #readSegment(name: string, queue: RecordQueue): Promise<void> {
    const file = path.join(this.directory, name);
    const decoded = await this.#decode(file);
    if (decoded === null) return;
    this.#attempts = 0;
    this.#next += 1;
    if (decoded.lines === null) {
      this.#putAside(name);
      return;
    }
    const { damagedFrames, replayed } = this.context.metrics;
    damagedFrames.inc({ kind: 'torn' }, decoded.torn);
    damagedFrames.inc({ kind: 'corrupt' }, decoded.corrupt);
    const finals = decoded.lines.flatMap((line) => this.#take(parseLine(line)));
    this.#outstanding += finals.length;
    replayed.inc(finals.length);
    queue.pushRead(finals);
    const surplus = this.#starts.size - this.context.limits.openStarts;
    // Should an end turn up after all, it replaces the interruption: its revision is higher.
    if (surplus > 0) this.#interrupt(queue, surplus);
  }

  /** Null: to be tried again. A file that stays unreadable is treated like one under an unknown key. */
  async #decode(file: string): Promise<DecodedSegment | null> {
    const { files, keys, log } = this.context;
    try {
      const bytes = await files.read(file);
      this.#sizes.set(file, bytes.length);
      return decodeSegment(bytes, keys);
    } catch (error) {
      this.#attempts += 1;
      log.error('orphan_read_failed', { err: safeError(error), attempt: this.#attempts });
      return this.#attempts < READ_ATTEMPTS ? null : { lines: null, torn: 0, corrupt: 0 };
    }
  }

  #take(line: SpoolLine | null): QueuedRecord[] {
    if (line === null) return [];
    if (line.kind === 's') {
      this.#starts.set(line.record.request_id, line.record);
      return [];
    }
    this.#starts.delete(line.record.request_id);
    return [this.#queued(line.record, line.json)];
  }

  #interrupt(queue: RecordQueue, max: number): void {
    const records: QueuedRecord[] = [];
    for (const [requestId, start] of this.#starts) {
      if (records.length >= max) break;
      this.#starts.delete(requestId);
      const record = interruptedRecord(start);
      records.push(this.#queued(record, JSON.stringify(record)));
    }
    this.#outstanding += records.length;
    this.context.metrics.interrupted.inc(records.length);
    queue.pushRead(records);
  }

  #queued(record: StartRecord & { readonly revision: number }, json: string): QueuedRecord {
    return {
      orgId: record.org_id,
      requestId: record.request_id,
      startedAtMs: record.started_at_ms,
      revision: record.revision,
      json,
      queuedAtMs: this.context.clock.nowMs(),
      origin: this,
    };
  }

  /** A process that was only stopped, not dead, may have written on until it noticed: then all is read again. */
  #grewMeanwhile(): boolean {
    const { files } = this.context;
    const names = this.#list();
    const grown = names.some((name) => {
      const file = path.join(this.directory, name);
      return files.stat(file)?.size !== this.#sizes.get(file);
    });
    if (!grown) return false;
    this.#segments = names;
    this.#next = 0;
    return true;
  }

  /** Oldest first, so that a crash in between leaves no start without its final. */
  #remove(): void {
    const { files, log } = this.context;
    try {
      for (const name of this.#list()) files.removeFile(path.join(this.directory, name));
      files.removeFile(ownerFile(this.directory));
      files.removeDirectory(this.directory);
    } catch (error) {
      // What is left is replayed again by the next process: harmless.
      log.warn('orphan_remove_failed', { err: safeError(error) });
    }
  }

  #list(): string[] {
    return this.context.files.list(this.directory).filter((name) => SEGMENT_NAME.test(name));
  }

  #putAside(name: string): void {
    const { files, root, metrics, log } = this.context;
    metrics.unreadableSegments.inc();
    const aside = path.join(root, 'unreadable');
    // Names from there keep theirs, so that they do not grow with each attempt.
    const asideName = name.includes('-') ? name : `${path.basename(this.directory)}-${name}`;
    log.error('spool_segment_unreadable', { file: asideName });
    try {
      files.makeDirectory(aside);
      files.rename(path.join(this.directory, name), path.join(aside, asideName));
    } catch (error) {
      this.#kept = true;
      log.error('spool_put_aside_failed', { err: safeError(error) });
    }
  }
}
