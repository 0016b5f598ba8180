import { randomUUID } from 'node:crypto';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { mailSealedWithin } from '../mail/outbox.js';
import { hashOpaqueToken, newOpaqueToken } from './opaque-token.js';

/** What a token in a mail is for; the mail is of the kind of the same name. */
export type TokenPurpose = 'password_reset' | 'address_confirmation';

const LIFETIMES_MS: Readonly<Record<TokenPurpose, number>> = {
  password_reset: 60 * 60_000,
  address_confirmation: 24 * 60 * 60_000,
};
/** Whoever asks again sooner gets no second mail. */
const INTERVAL_MS = 2 * 60_000;
/** Live ones of one account and purpose. */
const LIVE_MAX = 5;

/**
 * Mails a new token to a user whose row the transaction has locked. Nobody fills another's inbox, nor the table: the
 * result is how long none is sent, 0 where it was. Leaves the transaction scoped to the installation.
 */
export async function mailTokenWithin(
  q: Queryable,
  secretBox: SecretBox,
  { userId, purpose, atMs }: { userId: string; purpose: TokenPurpose; atMs: number },
): Promise<number> {
  const waitMs = await waitMsWithin(q, userId, purpose, atMs);
  if (waitMs > 0) return waitMs;
  const token = newOpaqueToken();
  const expiresAtMs = atMs + LIFETIMES_MS[purpose];
  await q.query(
    `INSERT INTO one_time_tokens (token_hash, user_id, purpose, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5)`,
    [hashOpaqueToken(token), userId, purpose, new Date(atMs), new Date(expiresAtMs)],
  );
  await scopeToOrganization(q, INSTALLATION_ID);
  await mailSealedWithin(q, secretBox, INSTALLATION_ID, {
    kind: purpose,
    dedupeKey: `${purpose}:${randomUUID()}`,
    atMs,
    expiresAtMs,
    userId,
    secret: { token },
  });
  return 0;
}

/**
 * True for a token of this user that still works, which it then never does again. The user's row is locked before any
 * token's: two who come with different ones wait for each other in one order.
 */
export async function takeTokenWithin(
  q: Queryable,
  taken: { userId: string; purpose: TokenPurpose; token: string; atMs: number },
): Promise<boolean> {
  await q.query('SELECT id FROM users WHERE id = $1 FOR UPDATE', [taken.userId]);
  const rows = await q.query(
    `DELETE FROM one_time_tokens
      WHERE token_hash = $1 AND user_id = $2 AND purpose = $3 AND expires_at > $4 RETURNING user_id`,
    [hashOpaqueToken(taken.token), taken.userId, taken.purpose, new Date(taken.atMs)],
  );
  return rows.length > 0;
}

/** Those that are left open nothing any more. */
export async function dropTokensWithin(
  q: Queryable,
  userId: string,
  purpose: TokenPurpose,
): Promise<void> {
  await q.query('DELETE FROM one_time_tokens WHERE user_id = $1 AND purpose = $2', [
    userId,
    purpose,
  ]);
}

async function waitMsWithin(
  q: Queryable,
  userId: string,
  purpose: TokenPurpose,
  atMs: number,
): Promise<number> {
  const [live] = await q.query<{ count: number; last: Date | null; firstEnd: Date | null }>(
    `SELECT count(*)::int AS count, max(created_at) AS last, min(expires_at) AS "firstEnd"
       FROM one_time_tokens WHERE user_id = $1 AND purpose = $2 AND expires_at > $3`,
    [userId, purpose, new Date(atMs)],
  );
  if (!live?.last || !live.firstEnd) return 0;
  const untilMs =
    live.count < LIVE_MAX ? live.last.getTime() + INTERVAL_MS : live.firstEnd.getTime();
  return Math.max(0, untilMs - atMs);
}
