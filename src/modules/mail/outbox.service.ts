import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { AuditAction } from '../audit/audit-entry.js';
import { auditWithin } from '../audit/audit-trail.js';
import { MAIL_TRAITS } from './mail-kinds.js';
import { tokenLink } from './mail-links.js';
import { MAIL_KINDS, MAIL_WAIT_MS_MAX, openSealedPart, type MailKind } from './outbox.js';
import type { MailState } from './outbox.store.js';

/** A row as operators see it: never its address, its token or its figures. */
export interface OutboxItem {
  readonly id: string;
  readonly kind: MailKind;
  readonly state: MailState;
  readonly attempts: number;
  /** A class of failure. */
  readonly lastError: string | null;
  readonly recipientUserId: string | null;
  readonly createdAt: Date;
  readonly nextAttemptAt: Date;
  readonly sentAt: Date | null;
  /** It holds a link that an operator could hand over while mail is off. */
  readonly hasLink: boolean;
}

export type Resent =
  | { readonly kind: 'queued' }
  | { readonly kind: 'not_found' }
  /** It is under way, or was sent. */
  | { readonly kind: 'not_in_this_state'; readonly state: MailState }
  /** What it was to carry is no longer there, or no longer opens anything. */
  | { readonly kind: 'nothing_to_send' };

export type OpenedLink =
  /** `url` is null where the installation does not know its address: `path` belongs behind it. */
  | { readonly kind: 'link'; readonly path: string; readonly url: string | null }
  /** There is none, or its link has expired. */
  | { readonly kind: 'not_found' }
  /** The row carries no link, or no longer. */
  | { readonly kind: 'no_link' }
  /** The mail server takes it to the right person; nobody else needs it. */
  | { readonly kind: 'mail_is_on' };

const PAGE_MAX = 200;
const RESENDABLE: readonly MailState[] = ['unconfirmed', 'failed', 'undeliverable'];

const KINDS_WITH_LINK = new Set(MAIL_KINDS.filter((kind) => MAIL_TRAITS[kind].tokenPath !== null));

const RESENT = 'mail.resent' satisfies AuditAction;
const LINK_OPENED = 'mail.link_opened' satisfies AuditAction;

export interface OutboxContext {
  readonly database: Pick<Database, 'tenant'>;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly mailIsOn: boolean;
  readonly publicUrl: string | null;
}

/** The outbox in the hands of operators. Mail of no organization is under the nil UUID. */
export class OutboxService {
  constructor(private readonly context: OutboxContext) {}

  /** Newest first; `before` takes the last item of the page before. At most 200. */
  async list(
    orgId: string,
    options: {
      readonly before?: Pick<OutboxItem, 'id' | 'createdAt'>;
      readonly limit?: number;
      readonly state?: MailState;
    } = {},
  ): Promise<OutboxItem[]> {
    const limit = Math.max(1, Math.min(options.limit ?? 50, PAGE_MAX));
    const rows = await this.context.database.tenant(orgId, (q) =>
      q.query<Omit<OutboxItem, 'hasLink'> & { isSealed: boolean }>(
        `SELECT id, kind, state, attempts, last_error AS "lastError", recipient_user_id AS "recipientUserId",
                created_at AS "createdAt", next_attempt_at AS "nextAttemptAt", sent_at AS "sentAt",
                sealed IS NOT NULL AND expires_at > $6 AS "isSealed"
           FROM outbox
          WHERE org_id = $1 AND ($2::text IS NULL OR state = $2)
            AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid))
          ORDER BY outbox.created_at DESC, outbox.id DESC LIMIT $5`,
        [
          orgId,
          options.state ?? null,
          options.before?.createdAt ?? null,
          options.before?.id ?? null,
          limit,
          new Date(this.context.clock.nowMs()),
        ],
      ),
    );
    return rows.map(({ isSealed, ...item }) => ({
      ...item,
      hasLink: isSealed && KINDS_WITH_LINK.has(item.kind),
    }));
  }

  /** A person's decision to send a mail once more that did not arrive, or may not have. */
  async resend(orgId: string, id: string, actor: Actor): Promise<Resent> {
    const atMs = this.context.clock.nowMs();
    return this.context.database.tenant(orgId, async (q) => {
      const [row] = await q.query<{
        kind: MailKind;
        state: MailState;
        sealed: boolean;
        recipient: string | null;
      }>(
        `SELECT kind, state, sealed IS NOT NULL AND expires_at > $3 AS sealed, recipient_user_id AS recipient
           FROM outbox WHERE org_id = $1 AND id = $2 FOR UPDATE`,
        [orgId, id, new Date(atMs)],
      );
      if (!row) return { kind: 'not_found' };
      if (!RESENDABLE.includes(row.state)) return { kind: 'not_in_this_state', state: row.state };
      const needsSealed = MAIL_TRAITS[row.kind].tokenPath !== null || row.recipient === null;
      if (needsSealed && !row.sealed) return { kind: 'nothing_to_send' };
      await q.query(
        // A token does not live longer because its mail is late.
        `UPDATE outbox SET state = 'pending', attempts = 0, next_attempt_at = $3, claim_id = NULL, last_error = NULL,
                           expires_at = CASE WHEN sealed IS NULL THEN $4 ELSE expires_at END
          WHERE org_id = $1 AND id = $2`,
        [orgId, id, new Date(atMs), new Date(atMs + MAIL_WAIT_MS_MAX)],
      );
      await auditWithin(q, orgId, {
        actor,
        action: RESENT,
        atMs,
        subject: id,
        oldValue: row.state,
        newValue: 'pending',
        details: { kind: row.kind },
      });
      return { kind: 'queued' };
    });
  }

  /**
   * While mail is off: the link of one mail that waits, for an operator to hand to the person it is for. It opens an
   * account, so it is given only together with its entry in the trail.
   */
  async openLink(orgId: string, id: string, actor: Actor): Promise<OpenedLink> {
    const { database, secretBox, mailIsOn, publicUrl, clock } = this.context;
    if (mailIsOn) return { kind: 'mail_is_on' };
    return database.tenant(orgId, async (q) => {
      const [row] = await q.query<{
        kind: MailKind;
        sealed: Buffer | null;
        recipient: string | null;
      }>(
        `SELECT kind, sealed, recipient_user_id AS recipient
           FROM outbox WHERE org_id = $1 AND id = $2 AND expires_at > $3`,
        [orgId, id, new Date(clock.nowMs())],
      );
      if (!row) return { kind: 'not_found' };
      const token =
        row.sealed === null ? undefined : openSealedPart(secretBox, id, row.sealed)?.token;
      const link = token === undefined ? null : tokenLink(publicUrl, row.kind, token);
      if (link === null) return { kind: 'no_link' };
      await auditWithin(q, orgId, {
        actor,
        action: LINK_OPENED,
        atMs: clock.nowMs(),
        subject: id,
        details: { kind: row.kind, recipient_user_id: row.recipient },
      });
      return { kind: 'link', path: link.path, url: link.url };
    });
  }
}
