import type { Queryable } from '../../platform/postgres/queryable.js';
import { MAIL_KINDS, type MailKind } from './outbox.js';

export type MailState =
  'pending' | 'sending' | 'sent' | 'unconfirmed' | 'failed' | 'undeliverable' | 'skipped';

/** A row that one sender has for itself, with what its mail needs. */
export interface ClaimedMail {
  readonly orgId: string;
  readonly id: string;
  readonly claimId: string;
  readonly kind: MailKind;
  readonly data: Readonly<Record<string, unknown>>;
  readonly sealed: Buffer | null;
  /** This one included. */
  readonly attempts: number;
  readonly recipientUserId: string | null;
  readonly claimedAtMs: number;
  readonly expiresAt: Date;
  readonly recipient: {
    readonly email: string | null;
    /** Null: no member of the organization. */
    readonly reminders: boolean | null;
  };
  readonly organizationName: string | null;
}

/** What an attempt made of a row. */
export interface MailOutcome {
  readonly state: Exclude<MailState, 'sending'>;
  readonly atMs: number;
  readonly error: string | null;
  /** Of a row that is pending again. */
  readonly nextAttemptAtMs?: number;
}

/**
 * In the organization of the transaction: claims that nobody ended are in doubt for good, and what expired is given up.
 * Tells which kinds were, and whether anything is left to send.
 */
export async function settleWithin(
  q: Queryable,
  at: { readonly nowMs: number; readonly staleBeforeMs: number },
): Promise<{ unconfirmed: MailKind[]; expired: MailKind[]; due: boolean }> {
  const now = new Date(at.nowMs);
  const unconfirmed = await q.query<{ kind: MailKind }>(
    `UPDATE outbox SET state = 'unconfirmed', claimed_at = NULL, last_error = 'claim_abandoned'
      WHERE state = 'sending' AND claimed_at < $1 RETURNING kind`,
    [new Date(at.staleBeforeMs)],
  );
  const expired = await q.query<{ kind: MailKind }>(
    `UPDATE outbox SET state = 'failed', last_error = 'expired', sealed = NULL
      WHERE state = 'pending' AND expires_at <= $1 RETURNING kind`,
    [now],
  );
  const [rest] = await q.query<{ due: boolean }>(
    `SELECT EXISTS (SELECT FROM outbox WHERE state = 'pending' AND next_attempt_at <= $1) AS due`,
    [now],
  );
  return {
    unconfirmed: unconfirmed.map(({ kind }) => kind),
    expired: expired.map(({ kind }) => kind),
    due: rest?.due ?? false,
  };
}

/**
 * The oldest row that is due and that nobody else is claiming; null where there is none. Kinds that this version does
 * not know are left to the newer one that wrote them.
 */
export async function claimWithin(
  q: Queryable,
  orgId: string,
  claim: { readonly id: string; readonly nowMs: number },
): Promise<ClaimedMail | null> {
  const [row] = await q.query<Omit<ClaimedMail, 'orgId' | 'claimId' | 'claimedAtMs'>>(
    `WITH claimed AS (
       UPDATE outbox SET state = 'sending', claimed_at = $1, claim_id = $2, attempts = attempts + 1, last_error = NULL
        WHERE org_id = $3 AND state = 'pending' AND id = (
          SELECT id FROM outbox
           WHERE org_id = $3 AND state = 'pending' AND next_attempt_at <= $1 AND kind = ANY ($4::text[])
           ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, kind, data, sealed, attempts, recipient_user_id, expires_at
     )
     SELECT c.id, c.kind, c.data, c.sealed, c.attempts, c.recipient_user_id AS "recipientUserId",
            c.expires_at AS "expiresAt",
            jsonb_build_object('email', u.email, 'reminders', m.reminders) AS recipient,
            (SELECT o.name FROM organizations o WHERE o.id = $3) AS "organizationName"
       FROM claimed c
       LEFT JOIN users u ON u.id = c.recipient_user_id
       LEFT JOIN memberships m ON m.org_id = $3 AND m.user_id = c.recipient_user_id`,
    [new Date(claim.nowMs), claim.id, orgId, MAIL_KINDS],
  );
  return row ? { ...row, orgId, claimId: claim.id, claimedAtMs: claim.nowMs } : null;
}

/**
 * False where the claim is no longer this sender's to end: the row was sent anew by a person, or is gone. One that
 * was taken for abandoned meanwhile is put right.
 */
export async function finishWithin(
  q: Queryable,
  mail: ClaimedMail,
  { state, atMs, error, nextAttemptAtMs }: MailOutcome,
): Promise<boolean> {
  const rows = await q.query(
    `UPDATE outbox
        SET state = $4::text, claimed_at = NULL, last_error = $5,
            sent_at = CASE WHEN $4::text = 'sent' THEN $6::timestamptz END,
            sealed = CASE WHEN $4::text IN ('sent', 'skipped') THEN NULL ELSE sealed END,
            next_attempt_at = coalesce($7, next_attempt_at)
      WHERE org_id = $1 AND id = $2 AND claim_id = $3 AND state IN ('sending', 'unconfirmed')
      RETURNING id`,
    [
      mail.orgId,
      mail.id,
      mail.claimId,
      state,
      error,
      new Date(atMs),
      nextAttemptAtMs === undefined ? null : new Date(nextAttemptAtMs),
    ],
  );
  return rows.length > 0;
}
