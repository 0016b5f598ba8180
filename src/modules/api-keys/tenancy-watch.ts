import type { Logger } from '../../platform/telemetry/logger.js';
import type { Database } from '../../platform/postgres/database.js';
import { withinTime } from '../../platform/postgres/time-limit.js';

/** An organization of which something changed, and the value of the counter at its latest change. */
export interface TenancyChange {
  readonly orgId: string;
  readonly version: number;
}

/** Rejects where it could not take a change in; it is then told again. `everything`: it is unknown what changed. */
export type ApplyChanges = (changes: readonly TenancyChange[] | 'everything') => Promise<void>;

const CHANNEL = 'shunt_tenancy';
const POLL_INTERVAL_MS = 500;
const POLL_LIMIT_MS = 2_000;
const BATCH_MAX = 1_000;

/**
 * Follows the changes of organizations, projects and keys. A notification makes it look at once; a counter,
 * polled, is the backstop for notifications that were lost with their connection. Either way the counter says
 * exactly which organizations changed, so nothing is missed and nothing is read for nothing.
 */
export class TenancyWatch {
  /** The counter up to which every change was applied; null before the first answer of the database. */
  #seen: number | null = null;
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #failing = false;
  #timer: NodeJS.Timeout | null = null;
  #unlisten: (() => void) | null = null;

  constructor(
    private readonly database: Database,
    private readonly logger: Logger,
    private readonly apply: ApplyChanges,
  ) {}

  /** Resolves after the first look, whatever came of it. */
  async start(): Promise<void> {
    const look = (): void => void this.look();
    this.#unlisten = this.database.listen(CHANNEL, look, look);
    this.#timer = setInterval(look, POLL_INTERVAL_MS).unref();
    await this.look();
  }

  stop(): void {
    this.#unlisten?.();
    if (this.#timer) clearInterval(this.#timer);
  }

  /** Takes in what changed since the last look; never rejects. Calls during a look are one more look after it. */
  async look(): Promise<void> {
    if (this.#looking) {
      this.#lookAgain = true;
      return this.#looking;
    }
    this.#looking = this.#lookWhileAsked().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #lookWhileAsked(): Promise<void> {
    do {
      this.#lookAgain = false;
      try {
        await this.#lookOnce();
        if (this.#failing) this.logger.info('following changes of keys and organizations again');
        this.#failing = false;
      } catch (error) {
        // Once per outage: what is in memory keeps serving, and the next poll tries again.
        if (!this.#failing) this.logger.warn({ err: error }, 'cannot follow changes of keys');
        this.#failing = true;
        return;
      }
    } while (this.#lookAgain);
  }

  async #lookOnce(): Promise<void> {
    const version = await withinTime(this.#version(), POLL_LIMIT_MS);
    // A counter that went back: another server took over without the latest changes.
    if (this.#seen === null || version < this.#seen) {
      await this.apply('everything');
      this.#seen = version;
      return;
    }
    if (version === this.#seen) return;
    const changes = await withinTime(this.#changesSince(this.#seen), POLL_LIMIT_MS);
    await this.apply(changes);
    const last = changes.at(-1)?.version ?? version;
    this.#seen = changes.length < BATCH_MAX ? Math.max(version, last) : last;
    this.#lookAgain ||= changes.length === BATCH_MAX;
  }

  async #version(): Promise<number> {
    const [row] = await this.database.query<{ version: string }>(
      'SELECT version FROM tenancy_version',
    );
    if (!row) throw new Error('tenancy_version has no row');
    return Number(row.version);
  }

  async #changesSince(version: number): Promise<TenancyChange[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ org_id: string; version: string }>(
        `SELECT org_id, version FROM tenancy_changes WHERE version > $1
          ORDER BY version LIMIT ${BATCH_MAX}`,
        [version],
      ),
    );
    return rows.map((row) => ({ orgId: row.org_id, version: Number(row.version) }));
  }
}
