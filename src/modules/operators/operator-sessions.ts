import { randomUUID } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { withinTime } from '../../platform/postgres/time-limit.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import { operatorActor } from './operator.js';

/** From the login on, whatever is done meanwhile. */
export const SESSION_MS = 15 * 60_000;
/** Ended rows are kept for a while for whoever looks into an incident. */
const KEPT_MS = 7 * 24 * 60 * 60_000;
const SWEPT_MAX = 1_000;
/** An operator in a hurry is told early that the database is away. */
const LOOK_UP_MS_MAX = 2_000;

export interface OperatorSession {
  readonly id: string;
  readonly expiresAtMs: number;
}

/** A session that holds, and whose it is. */
export interface LiveSession extends OperatorSession {
  readonly operatorId: string;
  readonly name: string;
}

/** Who is signed in. A row ends at once for every replica: each request asks for it. */
export class OperatorSessions {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Null where it is unknown, over or ended, or where its operator is disabled. */
  async find(id: string): Promise<LiveSession | null> {
    const asked = this.database.query<LiveSession>(
      `SELECT s.id, s.operator_id AS "operatorId", o.name,
              round(extract(epoch FROM s.expires_at) * 1000)::float8 AS "expiresAtMs"
         FROM operator_sessions s JOIN operators o ON o.id = s.operator_id
        WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND o.disabled_at IS NULL`,
      [id, new Date(this.clock.nowMs())],
    );
    const [session] = await withinTime(asked, LOOK_UP_MS_MAX);
    return session ?? null;
  }

  async signOut({ id, operatorId, name }: LiveSession): Promise<void> {
    const atMs = this.clock.nowMs();
    await this.database.transaction(async (q) => {
      const ended = await q.query(
        'UPDATE operator_sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING id',
        [id, new Date(atMs)],
      );
      if (ended.length === 0) return;
      const actor = operatorActor(name);
      await auditInstallationWithin(q, {
        actor,
        action: 'operator.signed_out',
        atMs,
        subject: operatorId,
      });
    });
  }
}

/** As a part of the transaction that let the operator in. */
export async function openSessionWithin(
  q: Queryable,
  operatorId: string,
  nowMs: number,
): Promise<OperatorSession> {
  const session = { id: randomUUID(), expiresAtMs: nowMs + SESSION_MS };
  await q.query(
    `DELETE FROM operator_sessions WHERE id IN
       (SELECT id FROM operator_sessions WHERE expires_at < $1 LIMIT ${SWEPT_MAX})`,
    [new Date(nowMs - KEPT_MS)],
  );
  await q.query(
    'INSERT INTO operator_sessions (id, operator_id, created_at, expires_at) VALUES ($1, $2, $3, $4)',
    [session.id, operatorId, new Date(nowMs), new Date(session.expiresAtMs)],
  );
  return session;
}

/** How many were open. */
export async function endSessionsWithin(
  q: Queryable,
  operatorId: string,
  nowMs: number,
): Promise<number> {
  const ended = await q.query(
    `UPDATE operator_sessions SET ended_at = $2
      WHERE operator_id = $1 AND ended_at IS NULL AND expires_at > $2 RETURNING id`,
    [operatorId, new Date(nowMs)],
  );
  return ended.length;
}
