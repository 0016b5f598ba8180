import { safeError } from '../../../platform/telemetry/logger.js';
import type { RecordContext } from '../record-context.js';
import { parseLine } from '../record-line.js';
import type { QueuedRecord, RecordOrigin, RecordQueue } from '../record-queue.js';
import type { Segment, SegmentLog } from './segment-log.js';
import { decodeSegment } from './segment-format.js';

/** How often a segment that cannot be read is tried before what only it holds counts as lost. */
const READ_ATTEMPTS = 5;

interface Owner extends RecordOrigin {
  lose(records: number, why: string): void;
}

/** Reads back the segments some of whose records found the queue full. */
export class OverflowReader {
  #attempts = 0;

  constructor(
    private readonly context: RecordContext,
    private readonly segments: SegmentLog,
    private readonly owner: Owner,
  ) {}

  async refill(queue: RecordQueue): Promise<boolean> {
    const segment = this.segments.segments.find((candidate) => candidate.overflowed > 0);
    if (segment === undefined) return false;
    // What is still being written to is ended first: a file is read whole, once.
    if (segment === this.segments.active) this.segments.closeActive();
    const expected = segment.overflowed;
    const records = await this.#read(segment);
    if (records === null) return true;
    segment.overflowed = 0;
    segment.queued += records.length;
    queue.pushRead(records);
    this.context.metrics.replayed.inc(records.length);
    // An upper bound: which of them the queue had taken is not known any more.
    if (records.length < expected) this.owner.lose(expected - records.length, 'segment_damaged');
    return true;
  }

  /** All final records of a segment: writing some of them twice is harmless. Null: try again later. */
  async #read(segment: Segment): Promise<QueuedRecord[] | null> {
    const { files, keys, metrics, log, clock } = this.context;
    try {
      const decoded = decodeSegment(await files.read(segment.path), keys);
      this.#attempts = 0;
      metrics.damagedFrames.inc({ kind: 'torn' }, decoded.torn);
      metrics.damagedFrames.inc({ kind: 'corrupt' }, decoded.corrupt);
      const nowMs = clock.nowMs();
      return (decoded.lines ?? []).flatMap((line) => {
        const parsed = parseLine(line);
        if (parsed === null || parsed.kind === 's') return [];
        return [queuedFrom(parsed.record, parsed.json, nowMs, this.owner, segment)];
      });
    } catch (error) {
      this.#attempts += 1;
      log.error('spool_read_failed', { err: safeError(error), attempt: this.#attempts });
      if (this.#attempts < READ_ATTEMPTS) return null;
      this.#attempts = 0;
      return [];
    }
  }
}

function queuedFrom(
  record: { org_id: string; request_id: string; started_at_ms: number; revision: number },
  json: string,
  queuedAtMs: number,
  origin: RecordOrigin,
  segment: Segment,
): QueuedRecord & { readonly segment: Segment } {
  return {
    orgId: record.org_id,
    requestId: record.request_id,
    startedAtMs: record.started_at_ms,
    revision: record.revision,
    json,
    queuedAtMs,
    origin,
    segment,
  };
}
