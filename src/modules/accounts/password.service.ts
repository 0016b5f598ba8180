import { randomUUID } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import { hashPassword, verifyPassword } from '../../platform/crypto/password.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { mailSealedWithin, mailUserWithin } from '../mail/outbox.js';
import { auditForUserWithin } from './audit-for-user.js';
import { hashOpaqueToken, newOpaqueToken } from './opaque-token.js';
import { faultOfPassword } from './password-rules.js';
import { endSessionsWithin, startSessionWithin, type IssuedSession } from './session.service.js';

export type ResetOutcome =
  | { readonly kind: 'reset' }
  | { readonly kind: 'invalid_token' }
  | { readonly kind: 'weak_password'; readonly message: string };

export type ChangeOutcome =
  | { readonly kind: 'changed'; readonly session: IssuedSession }
  | { readonly kind: 'wrong_password' }
  | { readonly kind: 'weak_password'; readonly message: string };

export interface PasswordChange {
  readonly userId: string;
  readonly email: string;
  readonly currentPassword: string;
  readonly newPassword: string;
  readonly client: string;
  readonly currentOrgId: string | null;
}

const RESET_MS_MAX = 60 * 60_000;
/** Whoever asks again sooner gets no second mail. */
const RESET_INTERVAL_MS = 2 * 60_000;
const RESETS_MAX = 5;

/** New passwords, for who knows the old one and for who gets the account's mail. Both end every session. */
export class PasswordService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  /** Whether there was anybody of that address, it does not say. */
  async requestReset(email: string): Promise<void> {
    const atMs = this.clock.nowMs();
    await this.database.transaction(async (q) => {
      const [user] = await q.query<{ id: string }>(
        'SELECT id FROM users WHERE email = $1 FOR UPDATE',
        [email],
      );
      if (!user || !(await mayMailReset(q, user.id, atMs))) return;
      const token = newOpaqueToken();
      const expiresAtMs = atMs + RESET_MS_MAX;
      await q.query(
        `INSERT INTO one_time_tokens (token_hash, user_id, purpose, created_at, expires_at)
         VALUES ($1, $2, 'password_reset', $3, $4)`,
        [hashOpaqueToken(token), user.id, new Date(atMs), new Date(expiresAtMs)],
      );
      await scopeToOrganization(q, INSTALLATION_ID);
      await mailSealedWithin(q, this.secretBox, INSTALLATION_ID, {
        kind: 'password_reset',
        dedupeKey: `password_reset:${randomUUID()}`,
        atMs,
        expiresAtMs,
        userId: user.id,
        secret: { token },
      });
    });
  }

  /** The token works once, and the others of the account not at all afterwards. */
  async reset(token: string, password: string): Promise<ResetOutcome> {
    const tokenHash = hashOpaqueToken(token);
    const [holder] = await this.database.query<{ userId: string; email: string }>(
      `SELECT u.id AS "userId", u.email FROM one_time_tokens t JOIN users u ON u.id = t.user_id
        WHERE t.token_hash = $1 AND t.purpose = 'password_reset' AND t.expires_at > $2`,
      [tokenHash, new Date(this.clock.nowMs())],
    );
    if (!holder) return { kind: 'invalid_token' };
    const fault = faultOfPassword(password, holder.email);
    if (fault !== null) return { kind: 'weak_password', message: fault };
    const hash = await hashPassword(password);
    return this.database.transaction(async (q) => {
      const taken = await q.query(
        'DELETE FROM one_time_tokens WHERE token_hash = $1 AND expires_at > $2 RETURNING user_id',
        [tokenHash, new Date(this.clock.nowMs())],
      );
      if (taken.length === 0) return { kind: 'invalid_token' };
      await this.#setWithin(q, holder.userId, hash, 'reset');
      return { kind: 'reset' };
    });
  }

  /** Every session ends; who made the change goes on with a new one. */
  async change(change: PasswordChange): Promise<ChangeOutcome> {
    const { userId, email, currentPassword, newPassword } = change;
    const fault = faultOfPassword(newPassword, email);
    if (fault !== null) return { kind: 'weak_password', message: fault };
    const current = await this.#hashOf(userId);
    if (!(await verifyPassword(currentPassword, current))) return { kind: 'wrong_password' };
    const hash = await hashPassword(newPassword);
    return this.database.transaction(async (q) => {
      const [same] = await q.query(
        'SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR UPDATE',
        [userId, current],
      );
      // Somebody else changed it meanwhile.
      if (!same) return { kind: 'wrong_password' };
      await this.#setWithin(q, userId, hash, 'change');
      const atMs = this.clock.nowMs();
      const session = await startSessionWithin(q, { ...change, atMs });
      return { kind: 'changed', session };
    });
  }

  /** Asked again before something that a stolen session must not do. */
  async isRight(userId: string, password: string): Promise<boolean> {
    return verifyPassword(password, await this.#hashOf(userId));
  }

  async #hashOf(userId: string): Promise<string | null> {
    const [user] = await this.database.query<{ hash: string }>(
      'SELECT password_hash AS hash FROM users WHERE id = $1',
      [userId],
    );
    return user?.hash ?? null;
  }

  async #setWithin(q: Queryable, userId: string, hash: string, by: string): Promise<void> {
    const atMs = this.clock.nowMs();
    await q.query('UPDATE users SET password_hash = $2 WHERE id = $1', [userId, hash]);
    await q.query('DELETE FROM one_time_tokens WHERE user_id = $1', [userId]);
    await endSessionsWithin(q, userId);
    await auditForUserWithin(q, userId, {
      action: 'user.password_changed',
      atMs,
      subject: userId,
      details: { by },
    });
    await scopeToOrganization(q, INSTALLATION_ID);
    await mailUserWithin(q, INSTALLATION_ID, userId, {
      kind: 'password_changed',
      dedupeKey: `password_changed:${randomUUID()}`,
      atMs,
    });
  }
}

/** Nobody fills another's inbox, nor the table. */
async function mayMailReset(q: Queryable, userId: string, atMs: number): Promise<boolean> {
  const [sent] = await q.query<{ live: number; recent: number }>(
    `SELECT count(*)::int AS live, (count(*) FILTER (WHERE created_at > $3))::int AS recent
       FROM one_time_tokens WHERE user_id = $1 AND expires_at > $2`,
    [userId, new Date(atMs), new Date(atMs - RESET_INTERVAL_MS)],
  );
  return sent !== undefined && sent.live < RESETS_MAX && sent.recent === 0;
}
