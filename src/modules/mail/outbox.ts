import { randomUUID } from 'node:crypto';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
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
  'address_confirmation',
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
  /** Nobody wants to read it later than this; five days from `atMs` where it is not given. */
  readonly expiresAtMs?: number;
}

/** How long a mail may wait for its mail server: what comes later than this is news no more. */
export const MAIL_WAIT_MS_MAX = 5 * 24 * 60 * 60 * 1000;

/** What must not be read in the table: where a mail goes to whom the product does not know yet, and what opens something. */
export interface SealedMailPart {
  readonly address?: string;
  readonly token?: string;
}

const OWNERS_MAX = 100;

/** Null where the key that sealed it is gone. */
export function openSealedPart(
  secretBox: SecretBox,
  id: string,
  sealed: Buffer,
): SealedMailPart | null {
  try {
    return JSON.parse(secretBox.open(sealed, outboxAad(id)).toString()) as SealedMailPart;
  } catch (error) {
    if (error instanceof SecretBoxError) return null;
    throw error;
  }
}

export function outboxAad(id: string): string {
  return `${id}:outbox`;
}

/**
 * To every owner of the organization, as a part of a transaction that is scoped to it. One row at least: where
 * there is no owner it is kept as undeliverable. Who unsubscribed from reminders is left out when the mail is sent.
 */
export async function mailOwnersWithin(q: Queryable, orgId: string, mail: NewMail): Promise<void> {
  await q.query(
    `WITH owners AS (
       SELECT user_id FROM memberships WHERE org_id = $1 AND role = 'owner' ORDER BY user_id LIMIT ${OWNERS_MAX}
     ), recipients AS (
       SELECT user_id FROM owners UNION ALL SELECT NULL WHERE NOT EXISTS (SELECT FROM owners)
     )
     INSERT INTO outbox (org_id, id, kind, dedupe_key, recipient_user_id, data, state, next_attempt_at, expires_at, created_at)
     SELECT $1, gen_random_uuid(), $2, $3 || ':' || coalesce(user_id::text, 'nobody'), user_id, $4,
            CASE WHEN user_id IS NULL THEN 'undeliverable' ELSE 'pending' END, $5, $6, $5
       FROM recipients
     ON CONFLICT (org_id, dedupe_key) DO NOTHING`,
    [orgId, mail.kind, mail.dedupeKey, JSON.stringify(mail.data ?? {}), ...timesOf(mail)],
  );
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
  const state = userId === null && sealed === null ? 'undeliverable' : 'pending';
  await q.query(
    `INSERT INTO outbox (org_id, id, kind, dedupe_key, recipient_user_id, data, sealed, state, next_attempt_at, expires_at, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9) ON CONFLICT (org_id, dedupe_key) DO NOTHING`,
    [
      orgId,
      id,
      mail.kind,
      `${mail.dedupeKey}:${userId ?? 'nobody'}`,
      userId,
      JSON.stringify(mail.data ?? {}),
      sealed,
      state,
      ...timesOf(mail),
    ],
  );
}

/** When it is due, which is when it came into being, and when it expires. */
function timesOf({ atMs, expiresAtMs }: NewMail): [due: Date, expires: Date] {
  return [new Date(atMs), new Date(expiresAtMs ?? atMs + MAIL_WAIT_MS_MAX)];
}
