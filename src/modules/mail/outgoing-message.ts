import { domainToASCII } from 'node:url';
import MailComposer from 'nodemailer/lib/mail-composer';
import type { MailLink } from './mail-links.js';
import type { OutgoingMail } from './mail-transport.js';
import type { ComposedMail } from './templates/letter.js';

/** Who sends, and from where. */
export interface MailSite {
  readonly publicUrl: string | null;
  /** `MAIL_FROM`: an address, with or without a name. */
  readonly from: string;
}

export interface Message {
  readonly id: string;
  readonly to: string;
  readonly atMs: number;
  readonly content: ComposedMail & { readonly unsubscribe: MailLink | null };
}

const ADDRESS = /^[^\s<>()[\]\\,;:"@\p{C}]{1,64}@[^\s<>()[\]\\,;:"@\p{C}]{1,253}$/u;

/** An address that a mail can be sent to, and that can hide nothing else. */
export function isMailAddress(address: string): boolean {
  return ADDRESS.test(address);
}

/** The whole message, in the bytes that go out. */
export async function buildMessage(message: Message, site: MailSite): Promise<OutgoingMail> {
  const { content } = message;
  const node = new MailComposer({
    from: site.from,
    to: { name: '', address: message.to },
    subject: content.subject,
    text: content.text,
    html: content.html,
    messageId: messageIdOf(message.id, site),
    date: new Date(message.atMs),
    headers: {
      'Auto-Submitted': 'auto-generated',
      ...unsubscribeHeaders(content.unsubscribe),
    },
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  const { from } = node.getEnvelope();
  if (!from) throw new Error('MAIL_FROM names no address');
  return { envelope: { from, to: message.to }, bytes: await node.build() };
}

/** The same for a row however often it is tried, so that a mailbox can know it again. */
export function messageIdOf(id: string, { publicUrl, from }: MailSite): string {
  const host =
    publicUrl === null ? /@([^\s<>@]+)>?\s*$/.exec(from)?.[1] : URL.parse(publicUrl)?.hostname;
  return `<${id}@${domainToASCII(host ?? '') || 'localhost'}>`;
}

/** RFC 8058: one click in the mail program, which posts to the link; only where the link is complete and https. */
function unsubscribeHeaders(link: MailLink | null): Record<string, string> {
  if (!link?.url?.startsWith('https://')) return {};
  return {
    'List-Unsubscribe': `<${link.url}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };
}
