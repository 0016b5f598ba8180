import type { MailKind } from './outbox.js';

/** What a kind of mail needs beside its words. */
export interface MailTrait {
  /** Can be unsubscribed from, and carries the link to do so. */
  readonly reminder: boolean;
  /** Tells of an organization's affairs: whoever has left it since does not get it. */
  readonly membersOnly: boolean;
  /** Where its token is taken to; null: it carries none. */
  readonly tokenPath: string | null;
}

const NEWS: MailTrait = { reminder: false, membersOnly: true, tokenPath: null };
const REMINDER: MailTrait = { ...NEWS, reminder: true };
const PERSONAL: MailTrait = { ...NEWS, membersOnly: false };

export const MAIL_TRAITS: Readonly<Record<MailKind, MailTrait>> = {
  status_changed: NEWS,
  observation_started: NEWS,
  interim_report: REMINDER,
  reminder_three_days: REMINDER,
  reminder_one_day: REMINDER,
  conversion_report: NEWS,
  reminder_after_end: REMINDER,
  password_reset: { ...PERSONAL, tokenPath: '/reset-password' },
  password_changed: PERSONAL,
  address_confirmation: { ...PERSONAL, tokenPath: '/confirm-address' },
  invitation: { ...PERSONAL, tokenPath: '/invitation' },
  email_taken: PERSONAL,
  deletion_requested: NEWS,
  plan_limit_reached: NEWS,
};
