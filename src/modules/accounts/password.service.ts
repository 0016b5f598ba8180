import { randomUUID } from 'node:crypto';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { hashPassword, verifyPassword } from '../../platform/crypto/password.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { mailUserWithin } from '../mail/outbox.js';
import { confirmAddressWithin } from './address.service.js';
import { auditForUserWithin } from './audit-for-user.js';
import { dropTokensWithin, mailTokenWithin, takeTokenWithin } from './mailed-token.js';
import { hashOpaqueToken } from './opaque-token.js';
import { faultOfPassword } from './password-rules.js';
import { endSessionsWithin, startSessionWithin, type IssuedSession } from './session.service.js';
import { removeFactorWithin } from './totp.service.js';

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

const PURPOSE = 'password_reset';

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
      if (!user) return;
      await mailTokenWithin(q, this.secretBox, { userId: user.id, purpose: PURPOSE, atMs });
    });
  }

  /**
   * The token works once, and the others of the account not at all afterwards. It also shows whose the address is:
   * where nobody had shown it before, nothing of whoever made the account opens it any more.
   */
  async reset(token: string, password: string): Promise<ResetOutcome> {
    const [holder] = await this.database.query<{ userId: string; email: string }>(
      `SELECT u.id AS "userId", u.email FROM one_time_tokens t JOIN users u ON u.id = t.user_id
        WHERE t.token_hash = $1 AND t.purpose = $2 AND t.expires_at > $3`,
      [hashOpaqueToken(token), PURPOSE, new Date(this.clock.nowMs())],
    );
    if (!holder) return { kind: 'invalid_token' };
    const fault = faultOfPassword(password, holder.email);
    if (fault !== null) return { kind: 'weak_password', message: fault };
    const hash = await hashPassword(password);
    return this.database.transaction(async (q) => {
      const { userId } = holder;
      const taken = { userId, purpose: PURPOSE, token, atMs: this.clock.nowMs() } as const;
      if (!(await takeTokenWithin(q, taken))) return { kind: 'invalid_token' };
      await this.#setWithin(q, userId, hash, 'reset');
      return { kind: 'reset' };
    });
  }

  /**
   * Gives an account of an unconfirmed address to whoever gets this password from the person at the command line: who
   * signed up with the address may have been somebody else. False where the address is confirmed.
   */
  async handOver(
    userId: string,
    password: string,
    actor: Extract<Actor, { kind: 'command' }>,
  ): Promise<boolean> {
    const hash = await hashPassword(password);
    return this.database.transaction(async (q) => {
      const [unconfirmed] = await q.query(
        'SELECT id FROM users WHERE id = $1 AND confirmed_at IS NULL FOR UPDATE',
        [userId],
      );
      if (!unconfirmed) return false;
      await this.#setWithin(q, userId, hash, 'command', actor);
      return true;
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

  async #setWithin(
    q: Queryable,
    userId: string,
    hash: string,
    by: 'change' | 'reset' | 'command',
    actor?: Actor,
  ): Promise<void> {
    const atMs = this.clock.nowMs();
    await q.query('UPDATE users SET password_hash = $2 WHERE id = $1', [userId, hash]);
    await dropTokensWithin(q, userId, PURPOSE);
    await endSessionsWithin(q, userId);
    const takenOver =
      by !== 'change' && (await confirmAddressWithin(q, userId, { atMs, by }, actor));
    // It may be a stranger's, set up to keep the owner of the address out.
    if (takenOver) await removeFactorWithin(q, userId, atMs, actor);
    const entry = { action: 'user.password_changed', atMs, subject: userId } as const;
    await auditForUserWithin(q, userId, { ...entry, details: { by } }, actor);
    await scopeToOrganization(q, INSTALLATION_ID);
    await mailUserWithin(q, INSTALLATION_ID, userId, {
      kind: 'password_changed',
      dedupeKey: `password_changed:${randomUUID()}`,
      atMs,
      data: { taken_over: takenOver },
    });
  }
}
