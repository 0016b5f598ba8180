import { randomUUID } from 'node:crypto';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

/** What mail tells of; each has its template. */
export const MAIL_KINDS = [
  'status_changed',
  'observation_started',
  'interim_report',
  'reminder_three_days',
  'reminder_one_day',
  'conversion_report',
  'reminder_after_end',
  'password_reset',
  'password_changed',
  'invitation',
  'email_taken',
  'deletion_requested',
  'plan_limit_reached',
] as const;
export type MailKind = (typeof MAIL_KINDS)[number];

/** One message to several people of an organization, or to one. */
export interface NewMail {
  readonly kind: MailKind;
  /** Together with the recipient it makes the message unique: what is enqueued again is not sent again. */
  readonly dedupeKey: string;
  readonly atMs: number;
  /** Figures and ids for the template. No address, no token, no content. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** What must not be read in the table: where a mail goes to whom the product does not know yet, and what opens something. */
export interface SealedMailPart {
  readonly address?: string;
  readonly token?: string;
}

export function outboxAad(id: string): string {
  return `${id}:outbox`;
}

/**
 * To every owner of the organization, as a part of a transaction that is scoped to it. One row at least: where
 * there is no owner it is kept as undeliverable. `reminder`: leaves out those who unsubscribed.
 */
export async function mailOwnersWithin(q: Queryable, orgId: string, mail: NewMail): Promise<void> {
  const owners = await q.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM memberships WHERE role = 'owner' ORDER BY user_id LIMIT 100`,
  );
  const recipients = owners.length > 0 ? owners.map((owner) => owner.userId) : [null];
  for (const userId of recipients) {
    await insert(q, { orgId, mail, id: randomUUID(), userId, sealed: null });
  }
}

/** To one user, whose address is looked up when the mail is sent. */
export async function mailUserWithin(
  q: Queryable,
  orgId: string,
  userId: string,
  mail: NewMail,
): Promise<void> {
  await insert(q, { orgId, mail, id: randomUUID(), userId, sealed: null });
}

/** With a part that is sealed: a token, or an address that is no user's. */
export async function mailSealedWithin(
  q: Queryable,
  secretBox: SecretBox,
  orgId: string,
  mail: NewMail & { readonly userId?: string; readonly secret: SealedMailPart },
): Promise<void> {
  const id = randomUUID();
  const sealed = secretBox.seal(JSON.stringify(mail.secret), outboxAad(id));
  await insert(q, { orgId, mail, id, userId: mail.userId ?? null, sealed });
}

interface Row {
  readonly orgId: string;
  readonly mail: NewMail;
  readonly id: string;
  readonly userId: string | null;
  readonly sealed: Buffer | null;
}

async function insert(q: Queryable, { orgId, mail, id, userId, sealed }: Row): Promise<void> {
  const at = new Date(mail.atMs);
  const state = userId === null && sealed === null ? 'undeliverable' : 'pending';
  await q.query(
    `INSERT INTO outbox (org_id, id, kind, dedupe_key, recipient_user_id, data, sealed, state, next_attempt_at, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT (org_id, dedupe_key) DO NOTHING`,
    [
      orgId,
      id,
      mail.kind,
      `${mail.dedupeKey}:${userId ?? 'nobody'}`,
      userId,
      JSON.stringify(mail.data ?? {}),
      sealed,
      state,
      at,
    ],
  );
}
