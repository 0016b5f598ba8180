import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../platform/clock.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { KNOWN_MAX, type PrincipalDirectory } from './principal-directory.js';
import type { Snapshot, SnapshotFile } from './snapshot-file.js';

const TICK_MS = 1_000;
const WRITE_INTERVAL_MS = 5_000;
/** A large snapshot is written more rarely: at the most this share of the time is spent on it. */
const WRITING_SHARE = 1 / 20;
/** At its end a replica waits for keys that are just being read again. */
const SETTLE_MS_MAX = 1_000;
const SETTLE_POLL_MS = 10;
/** Without any change, the time of the last confirmation is brought up to date. */
const CONFIRM_INTERVAL_MS = 15 * 60_000;
/**
 * A start without the database takes no older snapshot: a key that was revoked while this replica was down is served
 * for as long as that at the most.
 */
export const SNAPSHOT_AGE_MS_MAX = 24 * 60 * 60 * 1_000;

/** Null where it can be used, else why not. */
export function whyUnusable(snapshot: Snapshot, nowMs: number): string | null {
  const ageMs = Math.abs(nowMs - snapshot.confirmedAtMs);
  if (ageMs > SNAPSHOT_AGE_MS_MAX) return 'the database confirmed it more than 24 hours ago';
  return snapshot.keys === 0 ? 'it holds no key' : null;
}

export type Kept = Pick<PrincipalDirectory, 'revision' | 'isSettled' | 'onDisk' | 'warm'>;

/**
 * Keeps the snapshot on disk up to date, by what the database has confirmed. After a start it first reads the keys of
 * the last run again, so that a restart forgets none of them.
 */
export class SnapshotKeeper {
  #confirmedAtMs: number | null = null;
  #written = { revision: -1, confirmedAtMs: 0 };
  #nextWriteAt = 0;
  #working: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #rest: Iterator<{ readonly digest: string }> | null;
  #inHand: string | null = null;
  #failing = false;
  #stopping = false;

  /** @param previous the keys of the last run that are not in memory yet. */
  constructor(
    private readonly file: SnapshotFile,
    private readonly directory: Kept,
    private readonly clock: Clock,
    private readonly logger: Logger,
    previous: Snapshot | null,
  ) {
    this.#rest = previous?.entries()[Symbol.iterator]() ?? null;
  }

  /** The database has just said what holds. */
  confirmed(): void {
    this.#confirmedAtMs = this.clock.nowMs();
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), TICK_MS).unref();
    void this.tick();
  }

  /** Writes what changed since the last time, such as a revocation of a moment ago. */
  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#stopping = true;
    await this.#working;
    if (this.#rest !== null || this.#confirmedAtMs === null) return;
    const limit = performance.now() + SETTLE_MS_MAX;
    while (!this.directory.isSettled && performance.now() < limit) await delay(SETTLE_POLL_MS);
    await this.#work(() => this.#writeIfChanged());
  }

  async tick(): Promise<void> {
    if (this.#working !== null) return;
    await this.#work(async () => {
      await this.#warm();
      if (this.#rest === null && performance.now() >= this.#nextWriteAt)
        await this.#writeIfChanged();
    });
  }

  #work(work: () => Promise<void>): Promise<void> {
    this.#working = work()
      .then(() => {
        this.#failing = false;
      })
      .catch((error: unknown) => {
        // The next tick tries again.
        if (!this.#failing)
          this.logger.warn({ err: safeError(error) }, 'the snapshot of keys is not kept');
        this.#failing = true;
      })
      .finally(() => {
        this.#working = null;
      });
    return this.#working;
  }

  async #warm(): Promise<void> {
    if (this.#confirmedAtMs === null) return;
    while (this.#rest !== null && !this.#stopping) {
      this.#inHand ??= this.#next();
      if (this.#inHand === null) break;
      await this.directory.warm([this.#inHand]);
      this.#inHand = null;
    }
  }

  #next(): string | null {
    try {
      const next = this.#rest?.next();
      if (next?.done === false) return next.value.digest;
    } catch (error) {
      this.logger.warn({ err: safeError(error) }, 'the snapshot of keys cannot be read further');
    }
    this.#rest = null;
    return null;
  }

  async #writeIfChanged(): Promise<void> {
    const confirmedAtMs = this.#confirmedAtMs;
    if (confirmedAtMs === null || !this.directory.isSettled) return;
    const { revision } = this.directory;
    const isChanged = revision !== this.#written.revision;
    if (!isChanged && confirmedAtMs - this.#written.confirmedAtMs < CONFIRM_INTERVAL_MS) return;
    const beganAt = performance.now();
    await this.file.write(this.directory.onDisk(), KNOWN_MAX, confirmedAtMs);
    this.#written = { revision, confirmedAtMs };
    const tookMs = performance.now() - beganAt;
    this.#nextWriteAt = performance.now() + Math.max(WRITE_INTERVAL_MS, tookMs / WRITING_SHARE);
  }
}
