import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { withinTime } from '../../platform/postgres/time-limit.js';
import type { StandingFacts } from './standing.js';

/** An organization of which something changed, the value of the counter at its latest change, and how it stands. */
export type TenancyChange = StandingFacts;

/** What one look at the database said: one statement, hence of one moment. */
export interface TenancyLook {
  /** When the look began (monotonic, milliseconds): what it says was true then, or later. */
  readonly startedAt: number;
  /** Which life of the database server counts: another one may have lost the latest changes. */
  readonly line: string;
  /** Changes up to here are taken in. */
  readonly version: number;
  /** `changes` are all that happened after this version; null: everything was read anew. */
  readonly from: number | null;
  readonly changes: readonly TenancyChange[];
  /** False where there is more than one look can take: the rest follows at once. */
  readonly complete: boolean;
  readonly routingEnabled: boolean;
}

/** Whom the watch tells. None of it waits for anything: a change of status must not queue behind slow work. */
export interface TenancyFollower {
  /** Those whose standing is read anew where it is unknown what changed. */
  organizations(): readonly string[];
  changed(changes: readonly TenancyChange[]): void;
  /** It is unknown what changed: these are the standings, and every key must be read again. */
  restarted(standings: readonly StandingFacts[]): void;
  /** After the changes of the look were taken in. */
  looked(look: TenancyLook): void;
}

const CHANNEL = 'shunt_tenancy';
const POLL_INTERVAL_MS = 250;
const LOOK_LIMIT_MS = 2_000;
const BATCH_MAX = 1_000;

interface LookRow {
  readonly version: string;
  readonly routing_enabled: boolean;
  readonly line: string;
  readonly org_id: string | null;
  readonly changed_at: string;
  readonly status: SubscriptionStatus;
  readonly hold: boolean;
}

/** An organization that is gone routes nothing. */
const STANDING = `coalesce(o.status, 'observing') AS status, coalesce(o.routing_hold, true) AS hold`;

const LOOK = `
  SELECT v.version, v.routing_enabled, extract(epoch FROM pg_postmaster_start_time())::text AS line,
         c.org_id, c.version AS changed_at, ${STANDING}
    FROM tenancy_version v
    LEFT JOIN tenancy_changes c ON c.version > $1
    LEFT JOIN organizations o ON o.id = c.org_id
   ORDER BY c.version LIMIT ${BATCH_MAX}`;

const STANDINGS_OF = `
  SELECT o.id AS org_id, coalesce(c.version, 0) AS changed_at, ${STANDING}
    FROM organizations o LEFT JOIN tenancy_changes c ON c.org_id = o.id
   WHERE o.id = ANY($1)`;

/**
 * Follows the changes of organizations, projects and keys. A notification makes it look at once; a counter,
 * polled, is the backstop for notifications that were lost with their connection. Either way the counter says
 * exactly which organizations changed, so nothing is missed and nothing is read for nothing.
 */
export class TenancyWatch {
  /** Up to where every change was taken in; null before the first answer of the database. */
  #seen: { readonly line: string; readonly version: number } | null = null;
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #failing = false;
  #timer: NodeJS.Timeout | null = null;
  #unlisten: (() => void) | null = null;

  constructor(
    private readonly database: Pick<Database, 'directory' | 'listen'>,
    private readonly logger: Logger,
    private readonly follower: TenancyFollower,
    private readonly monotonicMs: () => number = () => performance.now(),
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
    const startedAt = this.monotonicMs();
    const rows = await this.#read<LookRow>(LOOK, [this.#seen?.version ?? null]);
    const [head] = rows;
    if (!head) throw new Error('tenancy_version has no row');
    const now = { line: head.line, version: Number(head.version) };
    const told = { startedAt, line: head.line, routingEnabled: head.routing_enabled };
    const seen = this.#seen;
    // Another life of the server, or a counter that went back: the latest changes may be lost, or others instead.
    if (seen === null || seen.line !== now.line || now.version < seen.version) {
      this.follower.restarted(await this.#standingsOf(this.follower.organizations()));
      this.#seen = now;
      this.follower.looked({ ...told, ...now, from: null, changes: [], complete: true });
      return;
    }
    const changes = rows.flatMap(changeOf);
    const complete = rows.length < BATCH_MAX;
    const version = complete ? now.version : (changes.at(-1)?.version ?? now.version);
    if (changes.length > 0 || version > seen.version) this.follower.changed(changes);
    this.#seen = { line: now.line, version };
    this.#lookAgain ||= !complete;
    this.follower.looked({ ...told, version, from: seen.version, changes, complete });
  }

  async #standingsOf(orgIds: readonly string[]): Promise<StandingFacts[]> {
    const standings: StandingFacts[] = [];
    for (let next = 0; next < orgIds.length; next += BATCH_MAX) {
      const some = orgIds.slice(next, next + BATCH_MAX);
      standings.push(...(await this.#read<LookRow>(STANDINGS_OF, [some])).flatMap(changeOf));
    }
    return standings;
  }

  #read<Row>(sql: string, parameters: readonly unknown[]): Promise<Row[]> {
    const read = (q: Queryable): Promise<Row[]> => q.query<Row>(sql, parameters);
    return withinTime(this.database.directory(read), LOOK_LIMIT_MS);
  }
}

function changeOf({ org_id: orgId, changed_at, status, hold }: LookRow): TenancyChange[] {
  return orgId === null ? [] : [{ orgId, version: Number(changed_at), status, hold }];
}
