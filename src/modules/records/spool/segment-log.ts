import path from 'node:path';
import { safeError } from '../../../platform/telemetry/logger.js';
import type { RecordContext } from '../record-context.js';
import { createHeader, encodeFrame } from './segment-format.js';
import type { SpoolHome } from './spool-home.js';
import type { DataKey } from './spool-keys.js';

/** While writes fail, one in this long tries the disk again; the rest do not pay for it. */
const RETRY_DISK_AFTER_MS = 1_000;

/** One file of the spool, and what keeps it from being deleted. */
export interface Segment {
  readonly path: string;
  readonly createdAtMs: number;
  bytes: number;
  /** Null once nothing more is written to it. */
  descriptor: number | null;
  dirty: boolean;
  /** Frames tried, failed ones included: an index is a nonce, never used twice. */
  frames: number;
  /** Calls started here and not finished on disk. */
  openStarts: number;
  /** Its records in the queue or on their way to Postgres. */
  queued: number;
  /** Its records that found the queue full: they are on disk alone. */
  overflowed: number;
  /** Its open starts are being copied to the current segment. */
  carrying: boolean;
}

interface Active {
  readonly segment: Segment;
  readonly descriptor: number;
  readonly dataKey: DataKey;
}

/** The segments of this process, oldest first. Writes return null instead of throwing. */
export class SegmentLog {
  readonly #segments: Segment[] = [];
  readonly #retiring = new Set<Promise<void>>();
  #active: Active | null = null;
  #sequence = 0;
  #ownBytes = 0;
  #foreignBytes = 0;
  #retryAtMs = 0;
  #directorySynced = true;

  constructor(
    private readonly context: RecordContext,
    private readonly home: SpoolHome,
  ) {}

  get oldest(): Segment | undefined {
    return this.#segments[0];
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get active(): Segment | null {
    return this.#active?.segment ?? null;
  }

  /** Files under the root that are not this process's segments; they count towards the same maximum. */
  measured(totalBytes: number): void {
    this.#foreignBytes = Math.max(0, totalBytes - this.#ownBytes);
    this.context.metrics.spoolBytes.set(this.#ownBytes + this.#foreignBytes);
  }

  /** The disk refused a moment ago: the next attempt is not due yet. */
  refusing(): boolean {
    return this.#active === null && this.context.clock.nowMs() < this.#retryAtMs;
  }

  /** Appends one frame; null when the disk did not take it. Never throws. */
  write(text: string, records: number): Segment | null {
    const segment = this.active;
    const full = (segment?.bytes ?? 0) + text.length > this.context.limits.segmentBytes;
    if (segment !== null && segment.frames > 0 && full) this.closeActive();
    if (this.refusing()) return null;
    try {
      this.#active ??= this.#create();
      this.#append(this.#active, text, records);
      return this.#active.segment;
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** Ends the current segment; what is in it becomes deletable once it is settled. */
  closeActive(): void {
    const active = this.#active;
    if (active === null) return;
    this.#active = null;
    const { segment, descriptor } = active;
    segment.descriptor = null;
    this.#retire(descriptor, segment.dirty);
    segment.dirty = false;
  }

  /** Ends the current segment if it has grown old. */
  closeAged(): void {
    const segment = this.active;
    if (segment === null) return;
    const ageMs = this.context.clock.nowMs() - segment.createdAtMs;
    if (ageMs >= this.context.limits.segmentAgeMs) this.closeActive();
  }

  /** Deletes the oldest segment. */
  removeOldest(): void {
    const segment = this.#segments.shift();
    if (segment === undefined) return;
    this.#ownBytes -= segment.bytes;
    try {
      this.context.files.removeFile(segment.path);
    } catch (error) {
      // It stays behind and is replayed once more by the next process: harmless, but worth a line.
      this.context.log.warn('spool_remove_failed', { err: safeError(error) });
    }
  }

  /** Forgets all segments: the directory was taken by another process, which replays them. */
  abandon(): void {
    this.closeActive();
    this.#segments.length = 0;
    this.#ownBytes = 0;
    this.#sequence = 0;
  }

  /** Forces what was written to the disk. Returns the segment whose data the disk did not keep, if any. */
  async sync(): Promise<Segment | null> {
    const active = this.#active;
    const { files } = this.context;
    try {
      if (!this.#directorySynced) {
        this.#directorySynced = true;
        await files.syncDirectory(this.home.path);
      }
      if (active === null || !active.segment.dirty) return null;
      active.segment.dirty = false;
      await files.sync(active.descriptor);
      return null;
    } catch (error) {
      // Closed by a rotation in between, which syncs it itself.
      if (active === null || active.segment.descriptor === null) return null;
      this.#failed(error);
      return active.segment;
    }
  }

  /** Resolves when the files of ended segments are on disk and closed. */
  async retired(): Promise<void> {
    await Promise.all(this.#retiring);
  }

  #create(): Active {
    const { files, keys, clock } = this.context;
    this.home.ensure();
    this.#sequence += 1;
    const name = `${String(this.#sequence).padStart(8, '0')}.seg`;
    const file = path.join(this.home.path, name);
    const { header, dataKey } = createHeader(keys);
    this.#roomFor(header.length);
    const descriptor = files.create(file);
    const segment: Segment = {
      path: file,
      createdAtMs: clock.nowMs(),
      bytes: 0,
      descriptor,
      dirty: true,
      frames: 0,
      openStarts: 0,
      queued: 0,
      overflowed: 0,
      carrying: false,
    };
    this.#segments.push(segment);
    this.#directorySynced = false;
    const active = { segment, descriptor, dataKey };
    this.#active = active;
    this.#writeAll(active, header);
    return active;
  }

  #append(active: Active, text: string, records: number): void {
    const frame = encodeFrame(active.dataKey.key, active.segment.frames, records, text);
    active.segment.frames += 1;
    this.#roomFor(frame.length);
    this.#writeAll(active, frame);
  }

  #writeAll(active: Active, bytes: Buffer): void {
    const taken = this.context.files.write(active.descriptor, bytes);
    active.segment.bytes += taken;
    active.segment.dirty = true;
    this.#ownBytes += taken;
    // A short write is how a disk says that it is about to be full.
    if (taken !== bytes.length) throw new SpoolFullError('disk');
  }

  #roomFor(bytes: number): void {
    const total = this.#ownBytes + this.#foreignBytes + bytes;
    if (total > this.context.limits.spoolBytes) throw new SpoolFullError('maximum');
  }

  #failed(error: unknown): void {
    const { metrics, log, clock } = this.context;
    metrics.spoolWriteFailures.inc();
    log.error('spool_write_failed', { err: safeError(error), retryInMs: RETRY_DISK_AFTER_MS });
    this.#retryAtMs = clock.nowMs() + RETRY_DISK_AFTER_MS;
    this.closeActive();
  }

  #retire(descriptor: number, dirty: boolean): void {
    const { files, metrics, log } = this.context;
    const retired = (dirty ? files.sync(descriptor) : Promise.resolve())
      .catch((error: unknown) => {
        metrics.spoolWriteFailures.inc();
        log.error('spool_sync_failed', { err: safeError(error) });
      })
      .then(() => files.close(descriptor))
      .catch((error: unknown) => log.warn('spool_close_failed', { err: safeError(error) }))
      .finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }
}

class SpoolFullError extends Error {
  override readonly name = 'SpoolFullError';

  constructor(readonly code: 'disk' | 'maximum') {
    super(code);
  }
}
