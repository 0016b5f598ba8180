import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { newTotpSecret, totpStep, totpUri } from '../../platform/crypto/totp.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditForUserWithin } from './audit-for-user.js';
import { replaceRecoveryCodesWithin, userTotpAad } from './second-factor.js';
import { endSessionsWithin } from './session.service.js';

export type TotpBegun =
  | { readonly kind: 'begun'; readonly secret: string; readonly uri: string }
  | { readonly kind: 'already_enabled' };

export type TotpConfirmed =
  | { readonly kind: 'enabled'; readonly recoveryCodes: readonly string[] }
  | { readonly kind: 'already_enabled' | 'not_begun' | 'wrong_code' };

/** Setting up, and giving up, a second factor. */
export class TotpService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  /** A new secret, which is asked for only once its first code was right. */
  async begin(userId: string, email: string): Promise<TotpBegun> {
    const secret = newTotpSecret();
    const begun = await this.database.query(
      `UPDATE users SET totp_secret_sealed = $2, totp_last_step = 0
        WHERE id = $1 AND totp_enabled_at IS NULL RETURNING id`,
      [userId, this.secretBox.seal(secret, userTotpAad(userId))],
    );
    if (begun.length === 0) return { kind: 'already_enabled' };
    return { kind: 'begun', secret, uri: totpUri(email, secret) };
  }

  /** Ends every other session: those were opened without it. */
  async confirm(
    { userId, sessionId }: { readonly userId: string; readonly sessionId: string },
    code: string,
  ): Promise<TotpConfirmed> {
    return this.database.transaction(async (q) => {
      const [user] = await q.query<{ sealed: Buffer | null; enabled: boolean }>(
        `SELECT totp_secret_sealed AS sealed, totp_enabled_at IS NOT NULL AS enabled
           FROM users WHERE id = $1 FOR UPDATE`,
        [userId],
      );
      if (user?.enabled) return { kind: 'already_enabled' };
      if (!user?.sealed) return { kind: 'not_begun' };
      const secret = this.secretBox.open(user.sealed, userTotpAad(userId)).toString();
      const step = await totpStep(secret, code, 0);
      if (step === null) return { kind: 'wrong_code' };
      const atMs = this.clock.nowMs();
      await q.query('UPDATE users SET totp_enabled_at = $2, totp_last_step = $3 WHERE id = $1', [
        userId,
        new Date(atMs),
        step,
      ]);
      const recoveryCodes = await replaceRecoveryCodesWithin(q, userId);
      await endSessionsWithin(q, userId, sessionId);
      await auditChange(q, userId, atMs, 'enabled');
      return { kind: 'enabled', recoveryCodes };
    });
  }

  /** False where there was none. The caller has asked for the password. */
  async disable(userId: string): Promise<boolean> {
    return this.database.transaction((q) => removeFactorWithin(q, userId, this.clock.nowMs()));
  }

  /** For somebody who lost it: whoever runs the machine removes it, and every session ends. False where there was none. */
  async reset(userId: string, actor: Extract<Actor, { kind: 'command' }>): Promise<boolean> {
    return this.database.transaction(async (q) => {
      if (!(await removeFactorWithin(q, userId, this.clock.nowMs(), actor))) return false;
      await endSessionsWithin(q, userId);
      return true;
    });
  }

  async recoveryCodesLeft(userId: string): Promise<number> {
    const [row] = await this.database.query<{ left: number }>(
      'SELECT count(*)::int AS left FROM recovery_codes WHERE user_id = $1',
      [userId],
    );
    return row?.left ?? 0;
  }
}

/** With its recovery codes. False where there was none. */
export async function removeFactorWithin(
  q: Queryable,
  userId: string,
  atMs: number,
  actor?: Actor,
): Promise<boolean> {
  const removed = await q.query(
    `UPDATE users SET totp_secret_sealed = NULL, totp_enabled_at = NULL, totp_last_step = 0
      WHERE id = $1 AND totp_enabled_at IS NOT NULL RETURNING id`,
    [userId],
  );
  if (removed.length === 0) return false;
  await q.query('DELETE FROM recovery_codes WHERE user_id = $1', [userId]);
  await auditChange(q, userId, atMs, 'disabled', actor);
  return true;
}

async function auditChange(
  q: Queryable,
  userId: string,
  atMs: number,
  newValue: 'enabled' | 'disabled',
  actor?: Actor,
): Promise<void> {
  const oldValue = newValue === 'enabled' ? 'disabled' : 'enabled';
  const entry = { action: 'user.totp_changed', atMs, subject: userId, oldValue, newValue } as const;
  await auditForUserWithin(q, userId, entry, actor);
}
