import type { Clock } from '../../platform/clock.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import type { AuditTrail } from '../audit/audit-trail.js';
import { operatorActor, UNKNOWN_OPERATOR } from './operator.js';

const WINDOW_MS = 60_000;

/** Whose credentials were tried; null: nobody of that name. */
export type TriedOperator = { readonly id: string; readonly name: string } | null;

interface Window {
  readonly operator: TriedOperator;
  /** Since the last entry. */
  attempts: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Failed logins in the trail, so that strangers cannot fill it: per name the first one at once, those of the minute
 * after it as one entry with their number. There are as many names as operators, and one for all others.
 */
export class SignInFailures {
  readonly #windows = new Map<string, Window>();
  readonly #writes = new Set<Promise<void>>();

  constructor(
    private readonly trail: AuditTrail,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  note(operator: TriedOperator): void {
    const name = operator?.name ?? UNKNOWN_OPERATOR;
    const open = this.#windows.get(name);
    if (open) {
      open.attempts += 1;
      return;
    }
    this.#open(operator, 0);
    this.#write(operator, 1);
  }

  /** Writes what is counted so far, and waits for it. */
  async flush(): Promise<void> {
    for (const name of [...this.#windows.keys()]) this.#end(name);
    await Promise.all(this.#writes);
    // What could not be written is counted again; nothing more will be.
    for (const { timer } of this.#windows.values()) clearTimeout(timer);
  }

  #open(operator: TriedOperator, attempts: number): void {
    const name = operator?.name ?? UNKNOWN_OPERATOR;
    const timer = setTimeout(() => this.#end(name), WINDOW_MS).unref();
    this.#windows.set(name, { operator, attempts, timer });
  }

  #end(name: string): void {
    const window = this.#windows.get(name);
    if (!window) return;
    clearTimeout(window.timer);
    this.#windows.delete(name);
    if (window.attempts === 0) return;
    this.#open(window.operator, 0);
    this.#write(window.operator, window.attempts);
  }

  #write(operator: TriedOperator, attempts: number): void {
    const name = operator?.name ?? UNKNOWN_OPERATOR;
    const entry = {
      actor: operatorActor(name),
      action: 'operator.sign_in_failed' as const,
      atMs: this.clock.nowMs(),
      ...(operator === null ? {} : { subject: operator.id }),
      details: { attempts },
    };
    const write = this.trail.add(INSTALLATION_ID, entry).then(
      () => undefined,
      (error: unknown) => {
        this.logger.warn({ err: safeError(error), attempts }, 'failed logins await the trail');
        const open = this.#windows.get(name);
        if (open) open.attempts += attempts;
        else this.#open(operator, attempts);
      },
    );
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }
}
