import type { AnswerTokens } from './answer-reader.js';

/** Two neighbouring latency buckets differ by this factor: figures are exact to 2 %. */
const BUCKET_RATIO = 1.02;
const BUCKETS_MAX = 1_200;
const FAILURE_KINDS_MAX = 50;
const MALFORMED_SHOWN_MAX = 20;

/** Durations in a fixed number of buckets, however many there are. */
export class LatencyHistogram {
  private readonly counts = new Uint32Array(BUCKETS_MAX);
  private total = 0;

  add(ms: number): void {
    const at = Math.ceil(Math.log(Math.max(ms, 0.01) / 0.01) / Math.log(BUCKET_RATIO));
    const bucket = Math.min(Math.max(at, 0), BUCKETS_MAX - 1);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.total += 1;
  }

  /** The duration that this share (0 to 1) of all durations did not exceed; null where there are none. */
  quantileMs(share: number): number | null {
    if (this.total === 0) return null;
    const rank = Math.max(1, Math.ceil(share * this.total));
    let seen = 0;
    for (const [bucket, count] of this.counts.entries()) {
      seen += count;
      if (seen >= rank) return round(0.01 * BUCKET_RATIO ** bucket);
    }
    return null;
  }
}

export type CallOutcome =
  | {
      readonly kind: 'succeeded';
      readonly latencyMs: number;
      readonly firstByteMs: number;
      readonly tokens: AnswerTokens | null;
    }
  /** `reason` is a status with its code, such as `429 rate_limit_exceeded`, or what happened on the network. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface ReplaySummary {
  readonly calls: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly malformedLines: number;
  /** The first ones, with their line numbers. */
  readonly malformed: readonly { readonly line: number; readonly reason: string }[];
  /** Calls that began later than the rate asked for, because too many were in flight. */
  readonly startedLate: number;
  readonly latencyMs: Quantiles;
  readonly firstByteMs: Quantiles;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly callsWithoutUsage: number;
  readonly durationS: number;
  readonly callsPerSecond: number;
}

interface Quantiles {
  readonly p50: number | null;
  readonly p99: number | null;
}

/** Counts what became of the calls; its size does not depend on how many there are. */
export class Tally {
  private readonly latency = new LatencyHistogram();
  private readonly firstByte = new LatencyHistogram();
  private readonly failures = new Map<string, number>();
  private readonly malformed: { line: number; reason: string }[] = [];
  private malformedLines = 0;
  private succeeded = 0;
  private failed = 0;
  private startedLate = 0;
  private inputTokens = 0;
  private outputTokens = 0;
  private callsWithoutUsage = 0;

  get calls(): number {
    return this.succeeded + this.failed;
  }

  get failedCalls(): number {
    return this.failed;
  }

  addOutcome(outcome: CallOutcome): void {
    if (outcome.kind === 'failed') {
      this.failed += 1;
      const known = this.failures.has(outcome.reason) || this.failures.size < FAILURE_KINDS_MAX - 1;
      const reason = known ? outcome.reason : 'other';
      this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
      return;
    }
    this.succeeded += 1;
    this.latency.add(outcome.latencyMs);
    this.firstByte.add(outcome.firstByteMs);
    if (outcome.tokens === null) this.callsWithoutUsage += 1;
    this.inputTokens += outcome.tokens?.inputTokens ?? 0;
    this.outputTokens += outcome.tokens?.outputTokens ?? 0;
  }

  addMalformed(line: number, reason: string): void {
    this.malformedLines += 1;
    if (this.malformed.length < MALFORMED_SHOWN_MAX) this.malformed.push({ line, reason });
  }

  addLateStart(): void {
    this.startedLate += 1;
  }

  summary(durationMs: number): ReplaySummary {
    const durationS = durationMs / 1_000;
    return {
      calls: this.calls,
      succeeded: this.succeeded,
      failed: this.failed,
      failures: Object.fromEntries([...this.failures].toSorted(([, a], [, b]) => b - a)),
      malformedLines: this.malformedLines,
      malformed: this.malformed,
      startedLate: this.startedLate,
      latencyMs: quantiles(this.latency),
      firstByteMs: quantiles(this.firstByte),
      inputTokens: this.inputTokens,
      outputTokens: this.outputTokens,
      callsWithoutUsage: this.callsWithoutUsage,
      durationS: round(durationS),
      callsPerSecond: durationS === 0 ? 0 : round(this.calls / durationS),
    };
  }
}

function quantiles(histogram: LatencyHistogram): Quantiles {
  return { p50: histogram.quantileMs(0.5), p99: histogram.quantileMs(0.99) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
