import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { SESSION_IDLE_MS_MAX } from './session.service.js';

export interface Swept {
  readonly sessions: number;
  readonly tokens: number;
  readonly invitations: number;
}

/** Rows of one kind in one run; what is left over waits for the next. */
const ROWS_MAX = 5_000;
const ORGANIZATIONS_MAX = 500;

/** Clears away what has expired: none of it opens anything any more, with or without this. */
export class AccountSweeper {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Bounded; a job calls it. */
  async sweep(signal?: AbortSignal): Promise<Swept> {
    const nowMs = this.clock.nowMs();
    const now = new Date(nowMs);
    const sessions = await this.database.query(
      `DELETE FROM sessions WHERE id IN (
         SELECT id FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2 LIMIT ${ROWS_MAX}) RETURNING id`,
      [now, new Date(nowMs - SESSION_IDLE_MS_MAX)],
    );
    const tokens = await this.database.query(
      `DELETE FROM one_time_tokens WHERE token_hash IN (
         SELECT token_hash FROM one_time_tokens WHERE expires_at <= $1 LIMIT ${ROWS_MAX}) RETURNING user_id`,
      [now],
    );
    const invitations = await this.#sweepInvitations(now, signal);
    return { sessions: sessions.length, tokens: tokens.length, invitations };
  }

  async #sweepInvitations(now: Date, signal?: AbortSignal): Promise<number> {
    const organizations = await this.database.query<{ orgId: string }>(
      'SELECT organizations_with_expired_invitations($1, $2) AS "orgId"',
      [now, ORGANIZATIONS_MAX],
    );
    let count = 0;
    for (const { orgId } of organizations) {
      if (signal?.aborted) break;
      const deleted = await this.database.tenant(orgId, (q) =>
        q.query(
          `DELETE FROM invitations WHERE (org_id, id) IN (
             SELECT org_id, id FROM invitations WHERE expires_at <= $1 LIMIT ${ROWS_MAX}) RETURNING id`,
          [now],
        ),
      );
      count += deleted.length;
    }
    return count;
  }
}
