import { MAIL_TRAITS } from './mail-kinds.js';
import type { MailKind } from './outbox.js';

/** Where a link leads: complete where the installation knows its address, else the path alone. */
export interface MailLink {
  readonly path: string;
  readonly url: string | null;
}

export function linkTo(publicUrl: string | null, path: string): MailLink {
  return { path, url: publicUrl === null ? null : publicUrl + path };
}

/**
 * Where a token is handed in; null for a kind that carries none. The token stands behind `#`, which a browser sends
 * to nobody: it shows in no log of a server or a proxy in between.
 */
export function tokenLink(
  publicUrl: string | null,
  kind: MailKind,
  token: string,
): MailLink | null {
  const path = MAIL_TRAITS[kind].tokenPath;
  return path === null ? null : linkTo(publicUrl, `${path}#token=${encodeURIComponent(token)}`);
}

export function unsubscribeLink(publicUrl: string | null, token: string): MailLink {
  return linkTo(publicUrl, `/api/unsubscribe?token=${token}`);
}
