import type { RecordLimits } from './record-limits.js';

/** A record on its way to Postgres, as the JSON that was made when it was appended. */
export interface QueuedRecord {
  readonly orgId: string;
  readonly requestId: string;
  readonly startedAtMs: number;
  readonly revision: number;
  readonly json: string;
  readonly queuedAtMs: number;
  readonly origin: RecordOrigin;
}

/** Who must know when a record needs no safekeeping any more: it is in Postgres or in a dead-letter file. */
export interface RecordOrigin {
  settled(record: QueuedRecord): void;
}

/** Records on disk that wait for room in the queue. */
export interface Backlog {
  /** Puts at most one segment's records on the queue; false when there was nothing to put. */
  refill(queue: RecordQueue): Promise<boolean>;
  /** When the oldest record that is on disk alone was written; null if there is none. */
  oldestMs(): number | null;
}

/** The bounded queue in memory towards Postgres. */
export class RecordQueue {
  #items: QueuedRecord[] = [];
  #head = 0;
  #chars = 0;
  #listener: (() => void) | null = null;

  constructor(private readonly limits: Pick<RecordLimits, 'queuedRecords' | 'queuedChars'>) {}

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Told after each push; the writer's alarm clock. */
  onPush(listener: () => void): void {
    this.#listener = listener;
  }

  /** False when the queue is full: the record stays where it is safe, or is lost by its owner. */
  push(record: QueuedRecord): boolean {
    if (this.size >= this.limits.queuedRecords || this.#chars >= this.limits.queuedChars) {
      return false;
    }
    this.#add(record);
    return true;
  }

  /** Room for one segment read from disk, which may exceed the maximum by at most itself. */
  hasRoom(): boolean {
    return this.size <= this.limits.queuedRecords / 2 && this.#chars <= this.limits.queuedChars / 2;
  }

  /** For a segment read from disk after `hasRoom()`. */
  pushRead(records: readonly QueuedRecord[]): void {
    for (const record of records) this.#add(record);
  }

  take(max: number): QueuedRecord[] {
    const taken = this.#items.slice(this.#head, this.#head + max);
    this.#head += taken.length;
    for (const record of taken) this.#chars -= record.json.length;
    this.#compact();
    return taken;
  }

  /**
   * Returns what could not be written, at most one pass of the writer, behind the others: what one
   * organization cannot write holds up nobody else. The order of records does not matter, revisions do.
   */
  putBack(records: readonly QueuedRecord[]): void {
    for (const record of records) {
      this.#items.push(record);
      this.#chars += record.json.length;
    }
  }

  oldestMs(): number | null {
    let oldestMs = Infinity;
    for (let at = this.#head; at < this.#items.length; at++) {
      oldestMs = Math.min(oldestMs, this.#items[at]?.queuedAtMs ?? Infinity);
    }
    return oldestMs === Infinity ? null : oldestMs;
  }

  #add(record: QueuedRecord): void {
    this.#items.push(record);
    this.#chars += record.json.length;
    this.#listener?.();
  }

  /** Lets go of taken records without moving the rest at each take. */
  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}
