import { isIP } from 'node:net';
import type { SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import { parseConnectionUrl } from 'nodemailer/lib/shared';

export interface SmtpServer {
  readonly options: SMTPConnectionOptions;
  readonly auth: { readonly user: string; readonly pass: string } | null;
}

/** What an `SMTP_URL` may say beside the server and its credentials; nodemailer's own names. */
const URL_OPTIONS = ['requireTLS', 'ignoreTLS', 'opportunisticTLS', 'name', 'servername'] as const;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

/**
 * Reads an `SMTP_URL`. Certificates are verified unless the URL says `tls.rejectUnauthorized=false`. In production
 * a server that is not on this machine must take STARTTLS, because mails carry links that open accounts; the URL can
 * say otherwise with `requireTLS=false`, `ignoreTLS=true` or `opportunisticTLS=true`.
 */
export function readSmtpUrl(smtpUrl: string, production: boolean): SmtpServer {
  const read: Readonly<Record<string, unknown>> = { ...parseConnectionUrl(smtpUrl) };
  const host = String(read.host ?? '').replace(/^\[(.*)\]$/, '$1');
  const chosen = Object.fromEntries(
    URL_OPTIONS.flatMap((name) => (read[name] === undefined ? [] : [[name, read[name]]])),
  );
  const says = ['requireTLS', 'ignoreTLS', 'opportunisticTLS'].some((name) => name in chosen);
  const secure = read.secure === true;
  const mustUpgrade = production && !secure && !says && !LOOPBACK.test(host);
  return {
    options: {
      ...chosen,
      host,
      port: typeof read.port === 'number' ? read.port : undefined,
      secure,
      ...(mustUpgrade ? { requireTLS: true } : {}),
      tls: {
        ...(read.tls as object | undefined),
        minVersion: 'TLSv1.2',
        ...(isIP(host) === 0 ? { servername: String(chosen.servername ?? host) } : {}),
      },
      // Its log lines hold addresses and, with `debug`, the mail itself.
      logger: false,
      debug: false,
      transactionLog: false,
    },
    auth: credentialsOf(read.auth),
  };
}

function credentialsOf(auth: unknown): SmtpServer['auth'] {
  if (typeof auth !== 'object' || auth === null) return null;
  const { user, pass } = auth as { user?: unknown; pass?: unknown };
  return { user: String(user ?? ''), pass: String(pass ?? '') };
}
