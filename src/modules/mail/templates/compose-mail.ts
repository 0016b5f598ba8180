import { MAIL_TRAITS } from '../mail-kinds.js';
import { linkTo, tokenLink, unsubscribeLink, type MailLink } from '../mail-links.js';
import type { MailKind } from '../outbox.js';
import {
  addressConfirmation,
  emailTaken,
  invitation,
  passwordChanged,
  passwordReset,
} from './account-mails.js';
import { UNNAMED, compose, quotedName, type ComposedMail } from './letter.js';
import { MailData } from './mail-data.js';
import { deletionRequested, planLimitReached } from './organization-mails.js';
import {
  conversionReport,
  interimReport,
  observationStarted,
  reminderAfterEnd,
  reminderOneDay,
  reminderThreeDays,
} from './report-mails.js';
import { statusChanged } from './status-mails.js';
import type { Template } from './template.js';

export const TEMPLATES: Readonly<Record<MailKind, Template>> = {
  status_changed: statusChanged,
  observation_started: observationStarted,
  interim_report: interimReport,
  reminder_three_days: reminderThreeDays,
  reminder_one_day: reminderOneDay,
  conversion_report: conversionReport,
  reminder_after_end: reminderAfterEnd,
  password_reset: passwordReset,
  password_changed: passwordChanged,
  address_confirmation: addressConfirmation,
  invitation,
  email_taken: emailTaken,
  deletion_requested: deletionRequested,
  plan_limit_reached: planLimitReached,
};

export interface MailContent {
  readonly kind: MailKind;
  readonly data: Readonly<Record<string, unknown>>;
  /** As somebody typed it; null where the mail belongs to no organization. */
  readonly organizationName: string | null;
  readonly token: string | null;
  /** Until when the token can be handed in. */
  readonly expiresAtMs: number;
  readonly unsubscribeToken: string | null;
}

/** The words of one mail. Pure: `publicUrl` is without a slash at its end, null where it is not known. */
export function composeMail(
  { kind, data, organizationName, token, expiresAtMs, unsubscribeToken }: MailContent,
  publicUrl: string | null,
): ComposedMail & { readonly unsubscribe: MailLink | null } {
  const letter = TEMPLATES[kind]({
    data: new MailData(data),
    organization: organizationName === null ? UNNAMED : quotedName(organizationName),
    tokenLink: token === null ? null : tokenLink(publicUrl, kind, token),
    expiresAtMs,
    link: (path) => linkTo(publicUrl, path),
  });
  const unsubscribe =
    MAIL_TRAITS[kind].reminder && unsubscribeToken !== null
      ? unsubscribeLink(publicUrl, unsubscribeToken)
      : null;
  const lines = ['Sent by Shunt, by itself: an answer to this mail reaches nobody.'];
  return { ...compose(letter, { lines, unsubscribe }), unsubscribe };
}
