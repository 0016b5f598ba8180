import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import type { AuditTrail } from '../audit/audit-trail.js';

const PERIOD_MS = 60_000;

/**
 * Failed sign-ins at the dashboard, as one entry a minute with their number in the installation's trail: a flood of
 * them cannot fill it. Without an address: whose it was meant to be, nobody can know.
 */
export class FailedSignIns {
  #count = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly trail: AuditTrail,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly periodMs: number = PERIOD_MS,
  ) {}

  note(): void {
    this.#count += 1;
    this.#timer ??= setTimeout(() => void this.flush(), this.periodMs).unref();
  }

  /** Writes what has been counted; what cannot be written is kept for the next time. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const failures = this.#count;
    if (failures === 0) return;
    this.#count = 0;
    try {
      await this.trail.add(INSTALLATION_ID, {
        actor: { kind: 'system', part: 'dashboard' },
        action: 'user.sign_in_failed',
        atMs: this.clock.nowMs(),
        details: { failures },
      });
    } catch (error) {
      this.#count += failures;
      this.#timer ??= setTimeout(() => void this.flush(), this.periodMs).unref();
      this.logger.warn({ err: error }, 'failed sign-ins could not be noted yet');
    }
  }

  /** At the end of the process. */
  async close(): Promise<void> {
    await this.flush();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
