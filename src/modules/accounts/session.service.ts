import { randomUUID, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditForUserWithin } from './audit-for-user.js';
import { hashOpaqueToken, newOpaqueToken } from './opaque-token.js';

export const SESSION_MS_MAX = 14 * 24 * 60 * 60_000;
export const SESSION_IDLE_MS_MAX = 3 * 24 * 60 * 60_000;
/** How exactly it is known when a session was last used: one write a minute, not one per request. */
const SEEN_MS = 60_000;
/** Of one person; a further sign-in ends the one that was used the longest time ago. */
const SESSIONS_MAX = 50;

/** What the browser holds: `<id>.<secret>`. */
export interface IssuedSession {
  readonly sessionId: string;
  readonly token: string;
  readonly expiresAtMs: number;
}

export interface LiveSession {
  readonly sessionId: string;
  readonly userId: string;
  readonly email: string;
  readonly addressConfirmed: boolean;
  readonly totpEnabled: boolean;
  readonly currentOrgId: string | null;
}

export interface ListedSession {
  readonly id: string;
  readonly createdAt: Date;
  readonly lastSeenAt: Date;
  readonly expiresAt: Date;
  readonly client: string;
}

const TOKEN = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.([\w-]{43})$/;

/** Sessions of people at the dashboard. What a browser holds is never stored, only its hash. */
export class SessionService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Null where there is none, or it has ended. At most once a minute it is written that it was used. */
  async find(token: string): Promise<LiveSession | null> {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    if (id === undefined || secret === undefined) return null;
    const now = this.clock.nowMs();
    const [row] = await this.database.query<LiveSession & { hash: Buffer; lastSeenAt: Date }>(
      `SELECT s.id AS "sessionId", s.user_id AS "userId", u.email, s.secret_hash AS hash,
              u.confirmed_at IS NOT NULL AS "addressConfirmed",
              u.totp_enabled_at IS NOT NULL AS "totpEnabled", s.current_org_id AS "currentOrgId",
              s.last_seen_at AS "lastSeenAt"
         FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = $1 AND s.expires_at > $2 AND s.last_seen_at > $3`,
      [id, new Date(now), new Date(now - SESSION_IDLE_MS_MAX)],
    );
    if (!row || !timingSafeEqual(row.hash, hashOpaqueToken(secret))) return null;
    const { hash: _, lastSeenAt, ...session } = row;
    if (now - lastSeenAt.getTime() >= SEEN_MS) await this.#noteSeen(id, now);
    return session;
  }

  /** The live ones, the most recently used first. */
  async list(userId: string): Promise<ListedSession[]> {
    const now = this.clock.nowMs();
    return this.database.query<ListedSession>(
      `SELECT id, created_at AS "createdAt", last_seen_at AS "lastSeenAt", expires_at AS "expiresAt", client
         FROM sessions WHERE user_id = $1 AND expires_at > $2 AND last_seen_at > $3
        ORDER BY last_seen_at DESC, id LIMIT ${SESSIONS_MAX}`,
      [userId, new Date(now), new Date(now - SESSION_IDLE_MS_MAX)],
    );
  }

  /** False where the user has no such session. */
  async revoke(userId: string, sessionId: string): Promise<boolean> {
    return this.#end(userId, 'id = $2', sessionId).then((count) => count > 0);
  }

  /** Every session of the user but one; how many there were. */
  async revokeOthers(userId: string, keptId: string): Promise<number> {
    return this.#end(userId, 'id <> $2', keptId);
  }

  /** Of one's own doing: a sign-out is no entry of the trail. */
  async end(sessionId: string): Promise<void> {
    await this.database.query('DELETE FROM sessions WHERE id = $1', [sessionId]);
  }

  async chooseOrganization(sessionId: string, orgId: string): Promise<void> {
    await this.database.query('UPDATE sessions SET current_org_id = $2 WHERE id = $1', [
      sessionId,
      orgId,
    ]);
  }

  async #end(userId: string, condition: string, sessionId: string): Promise<number> {
    return this.database.transaction(async (q) => {
      const ended = await q.query(
        `DELETE FROM sessions WHERE user_id = $1 AND ${condition} RETURNING id`,
        [userId, sessionId],
      );
      if (ended.length > 0) {
        await auditForUserWithin(q, userId, {
          action: 'user.session_revoked',
          atMs: this.clock.nowMs(),
          subject: userId,
          details: { sessions: ended.length },
        });
      }
      return ended.length;
    });
  }

  async #noteSeen(id: string, nowMs: number): Promise<void> {
    await this.database.query(
      'UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2',
      [id, new Date(nowMs)],
    );
  }
}

export interface NewSession {
  readonly userId: string;
  readonly client: string;
  readonly currentOrgId: string | null;
  readonly atMs: number;
}

/** As a part of a larger transaction. Always a new one: what a browser held before the sign-in opens nothing. */
export async function startSessionWithin(q: Queryable, fields: NewSession): Promise<IssuedSession> {
  const [id, secret] = [randomUUID(), newOpaqueToken()];
  const expiresAtMs = fields.atMs + SESSION_MS_MAX;
  await q.query(
    `INSERT INTO sessions (id, user_id, secret_hash, created_at, last_seen_at, expires_at, current_org_id, client)
     VALUES ($1, $2, $3, $4, $4, $5, $6, $7)`,
    [
      id,
      fields.userId,
      hashOpaqueToken(secret),
      new Date(fields.atMs),
      new Date(expiresAtMs),
      fields.currentOrgId,
      fields.client,
    ],
  );
  await q.query(
    `DELETE FROM sessions WHERE user_id = $1 AND id IN (
       SELECT id FROM sessions WHERE user_id = $1 AND id <> $2
        ORDER BY last_seen_at DESC OFFSET ${SESSIONS_MAX - 1})`,
    [fields.userId, id],
  );
  return { sessionId: id, token: `${id}.${secret}`, expiresAtMs };
}

/** Every session of the user, but for the one that is kept. */
export async function endSessionsWithin(
  q: Queryable,
  userId: string,
  keptId: string | null = null,
): Promise<void> {
  await q.query('DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2', [
    userId,
    keptId,
  ]);
}
