import { createHash, randomInt } from 'node:crypto';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { totpStep } from '../../platform/crypto/totp.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

/** What a user's sealed TOTP secret is bound to. */
export function userTotpAad(userId: string): string {
  return `user:${userId}:totp`;
}

/** What somebody gave beside the password. */
export interface GivenFactor {
  readonly totp?: string;
  readonly recoveryCode?: string;
}

export interface UserFactor {
  readonly userId: string;
  readonly sealed: Buffer;
  readonly lastStep: number;
}

/**
 * True for a right code, which then never works again. The transaction holds the lock of the user's row, so that
 * of two who give the same code one is refused.
 */
export async function takeFactorWithin(
  q: Queryable,
  secretBox: SecretBox,
  { userId, sealed, lastStep }: UserFactor,
  given: GivenFactor,
): Promise<boolean> {
  if (given.recoveryCode !== undefined) return takeRecoveryCode(q, userId, given.recoveryCode);
  if (given.totp === undefined) return false;
  const secret = secretBox.open(sealed, userTotpAad(userId)).toString();
  const step = await totpStep(secret, given.totp, lastStep);
  if (step === null) return false;
  await q.query('UPDATE users SET totp_last_step = $2 WHERE id = $1', [userId, step]);
  return true;
}

async function takeRecoveryCode(q: Queryable, userId: string, code: string): Promise<boolean> {
  const taken = await q.query(
    'DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2 RETURNING user_id',
    [userId, hashRecoveryCode(userId, code)],
  );
  return taken.length > 0;
}

const CODES = 8;
const CODE_CHARS = 16;
/** 32 characters that nobody confuses: 80 bits in 16 of them. */
const ALPHABET = 'abcdefghjkmnpqrstuvwxyz023456789';

/** New ones in place of those before; shown once. */
export async function replaceRecoveryCodesWithin(q: Queryable, userId: string): Promise<string[]> {
  await q.query('DELETE FROM recovery_codes WHERE user_id = $1', [userId]);
  const codes = Array.from({ length: CODES }, newRecoveryCode);
  for (const code of codes) {
    await q.query('INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)', [
      userId,
      hashRecoveryCode(userId, code),
    ]);
  }
  return codes;
}

function newRecoveryCode(): string {
  const chars = Array.from({ length: CODE_CHARS }, () => ALPHABET[randomInt(ALPHABET.length)]);
  return chars.join('').replace(/(.{4})(?=.)/g, '$1-');
}

/** Case, dashes and spaces are the typist's. */
function hashRecoveryCode(userId: string, code: string): Buffer {
  const typed = code.toLowerCase().replace(/[\s-]/g, '');
  return createHash('sha256').update(`${userId}:${typed}`).digest();
}
