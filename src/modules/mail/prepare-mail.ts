import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { MAIL_TRAITS } from './mail-kinds.js';
import type { MailTransport, OutgoingMail } from './mail-transport.js';
import { openSealedPart } from './outbox.js';
import type { ClaimedMail, MailOutcome } from './outbox.store.js';
import { buildMessage, isMailAddress, type MailSite } from './outgoing-message.js';
import type { ReminderSubscription } from './reminder-subscription.js';
import { composeMail } from './templates/compose-mail.js';

export type Prepared =
  | { readonly kind: 'ready'; readonly mail: OutgoingMail }
  /** It is not to be sent, and why. */
  | { readonly kind: 'not_to_send'; readonly outcome: Omit<MailOutcome, 'atMs'> };

/** What sending needs beside the database. */
export interface MailOffice {
  readonly transport: MailTransport;
  readonly site: MailSite;
}

/** From a claimed row to the bytes that go out, or to the reason why none do. */
export async function prepareMail(
  claimed: ClaimedMail,
  site: MailSite,
  atMs: number,
  { secretBox, reminders }: { secretBox: SecretBox; reminders: ReminderSubscription },
): Promise<Prepared> {
  const { orgId, id, kind, recipient, recipientUserId } = claimed;
  const left = whyLeftOut(claimed);
  if (left !== null) return notToSend('skipped', left);
  const secret = claimed.sealed === null ? {} : openSealedPart(secretBox, id, claimed.sealed);
  // A key that is missing may come back, and then an operator can have the mail sent.
  if (secret === null) return notToSend('failed', 'sealed_unreadable');
  const to = recipientUserId === null ? secret.address : (recipient.email ?? undefined);
  if (to === undefined) return notToSend('undeliverable', 'no_address');
  if (!isMailAddress(to)) return notToSend('undeliverable', 'bad_address');
  const content = composeMail(
    {
      kind,
      data: claimed.data,
      organizationName: claimed.organizationName,
      token: secret.token ?? null,
      expiresAtMs: claimed.expiresAt.getTime(),
      unsubscribeToken:
        recipientUserId === null ? null : reminders.tokenFor(orgId, recipientUserId),
    },
    site.publicUrl,
  );
  return { kind: 'ready', mail: await buildMessage({ id, to, atMs, content }, site) };
}

function whyLeftOut({ kind, recipientUserId, recipient }: ClaimedMail): string | null {
  const { membersOnly, reminder } = MAIL_TRAITS[kind];
  if (recipientUserId === null) return null;
  if (membersOnly && recipient.reminders === null) return 'no_member';
  return reminder && recipient.reminders === false ? 'unsubscribed' : null;
}

function notToSend(state: 'skipped' | 'failed' | 'undeliverable', error: string): Prepared {
  return { kind: 'not_to_send', outcome: { state, error } };
}
