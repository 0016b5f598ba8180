import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { outboxAad } from './outbox.js';

export interface ResealedMail {
  readonly resealed: number;
  readonly alreadyCurrent: number;
  /** Neither key opens them. */
  readonly unreadable: number;
}

const PAGE = 500;

/**
 * Seals the sealed parts of an organization's mail anew under the current key, as a part of a transaction that is
 * scoped to it. Mail of no organization has the nil UUID: call it for that one too.
 */
export async function resealWithin(
  q: Queryable,
  orgId: string,
  secretBox: SecretBox,
): Promise<ResealedMail> {
  const tally = { resealed: 0, alreadyCurrent: 0, unreadable: 0 };
  for (let after: string | null = null; ;) {
    const rows: { id: string; sealed: Buffer }[] = await q.query(
      `SELECT id, sealed FROM outbox
        WHERE org_id = $1 AND sealed IS NOT NULL AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id LIMIT ${PAGE} FOR UPDATE`,
      [orgId, after],
    );
    for (const { id, sealed } of rows) {
      const anew = resealed(secretBox, id, sealed);
      if (anew === 'current') tally.alreadyCurrent += 1;
      else if (anew === 'unreadable') tally.unreadable += 1;
      else {
        await q.query('UPDATE outbox SET sealed = $3 WHERE org_id = $1 AND id = $2', [
          orgId,
          id,
          anew,
        ]);
        tally.resealed += 1;
      }
    }
    if (rows.length < PAGE) return tally;
    after = rows.at(-1)?.id ?? null;
  }
}

function resealed(
  secretBox: SecretBox,
  id: string,
  sealed: Buffer,
): Buffer | 'current' | 'unreadable' {
  if (secretBox.isCurrent(sealed)) return 'current';
  try {
    return secretBox.reseal(sealed, outboxAad(id));
  } catch (error) {
    if (error instanceof SecretBoxError) return 'unreadable';
    throw error;
  }
}
