import { actorName } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { INSTALLATION_ID, type NewAuditEntry } from './audit-entry.js';
import type { AuditTrail } from './audit-trail.js';

const WINDOW_MS = 60_000;

/** One entry for each actor and action. */
export type CountedEntry = Pick<NewAuditEntry, 'actor' | 'action' | 'subject'>;

interface Window {
  readonly entry: CountedEntry;
  /** Since the last entry. */
  attempts: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * What strangers can cause, in the installation's trail, so that they cannot fill it: the first at once, those of the
 * minute after it as one entry with their number. Who calls bounds how many actors there are.
 */
export class CountedEntries {
  readonly #windows = new Map<string, Window>();
  readonly #writes = new Set<Promise<void>>();

  constructor(
    private readonly trail: AuditTrail,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  note(entry: CountedEntry): void {
    const open = this.#windows.get(keyOf(entry));
    if (open) {
      open.attempts += 1;
      return;
    }
    this.#open(entry, 0);
    this.#write(entry, 1);
  }

  /** Writes what is counted so far, and waits for it. */
  async flush(): Promise<void> {
    for (const key of [...this.#windows.keys()]) this.#end(key);
    await Promise.all(this.#writes);
    // What could not be written is counted again; nothing more will be.
    for (const { timer } of this.#windows.values()) clearTimeout(timer);
  }

  #open(entry: CountedEntry, attempts: number): void {
    const key = keyOf(entry);
    const timer = setTimeout(() => this.#end(key), WINDOW_MS).unref();
    this.#windows.set(key, { entry, attempts, timer });
  }

  #end(key: string): void {
    const window = this.#windows.get(key);
    if (!window) return;
    clearTimeout(window.timer);
    this.#windows.delete(key);
    if (window.attempts === 0) return;
    this.#open(window.entry, 0);
    this.#write(window.entry, window.attempts);
  }

  #write(entry: CountedEntry, attempts: number): void {
    const told = { ...entry, atMs: this.clock.nowMs(), details: { attempts } };
    const write = this.trail.add(INSTALLATION_ID, told).then(
      () => undefined,
      (error: unknown) => {
        const { action } = entry;
        this.logger.warn({ err: safeError(error), action, attempts }, 'entries await the trail');
        const open = this.#windows.get(keyOf(entry));
        if (open) open.attempts += attempts;
        else this.#open(entry, attempts);
      },
    );
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }
}

function keyOf({ actor, action }: CountedEntry): string {
  return `${action} ${actor.kind} ${actorName(actor)}`;
}
