import {
  SUBSCRIPTION_STATUSES,
  type SubscriptionStatus,
} from '../../../domain/subscription/status.js';
import { linkBlock, paragraph, type Block } from './letter.js';
import type { MailData } from './mail-data.js';
import type { Template } from './template.js';

/** What each status means for the calls of an organization. */
const MEANINGS: Readonly<Record<SubscriptionStatus, readonly [subject: string, meaning: string]>> =
  {
    observing: [
      'Calls pass through, routing is off',
      'Calls are forwarded exactly as your applications send them.',
    ],
    observation_ended: [
      'The observation has ended',
      'Calls are forwarded exactly as before. Nothing is routed unless an owner or admin enables it.',
    ],
    active: [
      'Routing is on',
      'Calls may now be sent to a cheaper model that is good enough. An owner can switch it off at any time.',
    ],
    past_due: [
      'A payment is due',
      'Routing stays on, and no call is refused. Please check the payment details.',
    ],
    canceled: [
      'The subscription has ended',
      'Routing is off. Calls are forwarded exactly as your applications send them.',
    ],
    suspended: [
      'Calls are blocked',
      'An operator suspended the organization: its calls are refused until an operator reinstates it.',
    ],
  };

const UNKNOWN = ['The subscription has changed', 'The dashboard shows how it stands.'] as const;

const HELD =
  'An operator has put routing on hold: it can be enabled again once the hold is released.';
const RELEASED = "The operator's hold on routing was released.";

export const statusChanged: Template = ({ data, organization, link }) => {
  const status = SUBSCRIPTION_STATUSES.find((known) => known === data.text('to'));
  const [subject, meaning] = status === undefined ? UNKNOWN : MEANINGS[status];
  return {
    subject: `${subject}: ${organization}`,
    blocks: [
      paragraph(`${subject} for ${organization}. ${meaning}`),
      ...(data.flag('hold') ? [paragraph(HELD)] : []),
      ...(data.text('event') === 'release_hold' ? [paragraph(RELEASED)] : []),
      linkBlock('See the status and who changed it', link('/')),
      ...trailLine(data),
    ],
  };
};

/** Which entry of the audit trail tells of it, and the trail's signed head where it is given. */
export function trailLine(data: MailData): Block[] {
  const entry = data.count('auditSeq') ?? data.count('audit_seq');
  const head = data.text('audit_head');
  return [
    ...(entry === null ? [] : [paragraph(`Entry ${entry} of your audit trail tells of it.`)]),
    ...(head === null
      ? []
      : [paragraph(`Head of the audit trail, signed, to check it against later: ${head}`)]),
  ];
}
