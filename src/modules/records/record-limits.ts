const KIB = 1024;
const MIB = 1024 * KIB;

/** Every bound of the record pipeline, in one place; tests bring smaller ones. */
export interface RecordLimits {
  /** A longer record leaves out its descriptive fields; one that is still longer is lost, and counted. */
  readonly recordChars: number;
  /** Records of one turn of the event loop are one frame, up to this. */
  readonly groupChars: number;
  /** A segment is closed at this size, or at this age once it holds anything. */
  readonly segmentBytes: number;
  readonly segmentAgeMs: number;
  /** All files under the spool directory; beyond it the spool behaves as on a full disk. */
  readonly spoolBytes: number;
  /** Records written to disk a second time per turn: carried-over starts, what a full disk refused. */
  readonly rewriteChars: number;
  /** Calls that may be under way; beyond it the oldest is reported as interrupted. */
  readonly openStarts: number;
  /** The queue in memory towards Postgres; beyond it the segments on disk are read again later. */
  readonly queuedRecords: number;
  readonly queuedChars: number;
  /** Rows of one transaction, and records taken from the queue at once. */
  readonly batchRecords: number;
  readonly passRecords: number;
  readonly deadLetterBytes: number;
}

export const RECORD_LIMITS: RecordLimits = Object.freeze({
  recordChars: 64 * KIB,
  groupChars: MIB,
  segmentBytes: 8 * MIB,
  segmentAgeMs: 60_000,
  spoolBytes: 2 * 1024 * MIB,
  rewriteChars: 256 * KIB,
  openStarts: 100_000,
  queuedRecords: 50_000,
  queuedChars: 64 * MIB,
  batchRecords: 500,
  passRecords: 2_000,
  deadLetterBytes: 64 * MIB,
});

/**
 * How often the spool is forced to the disk, if anything was written: what the loss of a whole host
 * (not of the process: the page cache outlives it) may cost.
 */
export const FSYNC_INTERVAL_MS = 1_000;
