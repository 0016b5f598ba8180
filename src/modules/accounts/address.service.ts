import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditForUserWithin } from './audit-for-user.js';
import { dropTokensWithin, mailTokenWithin, takeTokenWithin } from './mailed-token.js';

export type LinkMailed =
  | { readonly kind: 'mailed' | 'already_confirmed' }
  | { readonly kind: 'too_many'; readonly retryAfterSeconds: number };

const PURPOSE = 'address_confirmation';

/** Shows that the address of an account is its user's. */
export class AddressService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  /** Another mail with a link, for who has not confirmed the address yet. */
  async mailLink(userId: string): Promise<LinkMailed> {
    return this.database.transaction(async (q) => {
      const [unconfirmed] = await q.query(
        'SELECT id FROM users WHERE id = $1 AND confirmed_at IS NULL FOR UPDATE',
        [userId],
      );
      if (!unconfirmed) return { kind: 'already_confirmed' };
      const atMs = this.clock.nowMs();
      const waitMs = await mailTokenWithin(q, this.secretBox, { userId, purpose: PURPOSE, atMs });
      if (waitMs === 0) return { kind: 'mailed' };
      return { kind: 'too_many', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
    });
  }

  /**
   * False where the token is not this user's, or works no more. Takes the account's session beside the mail: whoever
   * follows the link of an account that somebody else made with their address confirms nothing.
   */
  async confirm(userId: string, token: string): Promise<boolean> {
    return this.database.transaction(async (q) => {
      const atMs = this.clock.nowMs();
      if (!(await takeTokenWithin(q, { userId, purpose: PURPOSE, token, atMs }))) return false;
      await confirmAddressWithin(q, userId, { atMs, by: 'mail' });
      return true;
    });
  }
}

/** False where it was confirmed before. Leaves the transaction scoped as an entry about a person does. */
export async function confirmAddressWithin(
  q: Queryable,
  userId: string,
  { atMs, by }: { readonly atMs: number; readonly by: string },
  actor?: Actor,
): Promise<boolean> {
  const confirmed = await q.query(
    'UPDATE users SET confirmed_at = $2 WHERE id = $1 AND confirmed_at IS NULL RETURNING id',
    [userId, new Date(atMs)],
  );
  if (confirmed.length === 0) return false;
  await dropTokensWithin(q, userId, PURPOSE);
  const entry = { action: 'user.address_confirmed', atMs, subject: userId } as const;
  await auditForUserWithin(q, userId, { ...entry, details: { by } }, actor);
  return true;
}
