import type { Clock } from '../../../src/platform/clock.js';
import type { Schedule } from '../../../src/modules/records/schedule.js';

interface Timer {
  atMs: number;
  readonly periodMs: number | null;
  readonly work: () => void;
}

/** A clock and timers that move only when told to. */
export class ManualTime implements Clock, Schedule {
  #nowMs: number;
  #soon: (() => void)[] = [];
  readonly #timers = new Set<Timer>();

  constructor(nowMs = Date.UTC(2026, 10, 20, 12)) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  soon(work: () => void): void {
    this.#soon.push(work);
  }

  after(delayMs: number, work: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + delayMs, periodMs: null, work });
  }

  every(periodMs: number, work: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + periodMs, periodMs, work });
  }

  /** Ends the turn of the event loop, and those that it asks for. */
  turn(): void {
    for (let rounds = 0; this.#soon.length > 0 && rounds < 1_000; rounds++) {
      const due = this.#soon;
      this.#soon = [];
      for (const work of due) work();
    }
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs || !this.#timers.has(timer)) continue;
      if (timer.periodMs === null) this.#timers.delete(timer);
      else timer.atMs = this.#nowMs + timer.periodMs;
      timer.work();
    }
  }

  /** The process is gone, and its timers with it. */
  stop(): void {
    this.#soon = [];
    this.#timers.clear();
  }

  get pendingDelaysMs(): number[] {
    return [...this.#timers].map((timer) => timer.atMs - this.#nowMs);
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
