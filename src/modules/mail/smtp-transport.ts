import { Readable } from 'node:stream';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import {
  MailServerAway,
  type Delivery,
  type MailSession,
  type MailTransport,
  type OutgoingMail,
} from './mail-transport.js';
import { readSmtpUrl, type SmtpServer } from './smtp-options.js';

export interface SmtpLimits {
  readonly connectMsMax: number;
  readonly greetingMsMax: number;
  /** From nothing to signed in. */
  readonly openMsMax: number;
  /** From `MAIL FROM` to the server's invitation to send the body. */
  readonly envelopeMsMax: number;
  /** From the first byte of the body to the server's word on it, for which RFC 5321 asks for patience. */
  readonly bodyMsMax: number;
}

export const SMTP_LIMITS: SmtpLimits = {
  connectMsMax: 10_000,
  greetingMsMax: 15_000,
  openMsMax: 30_000,
  envelopeMsMax: 60_000,
  bodyMsMax: 5 * 60_000,
};

/**
 * Speaks SMTP by nodemailer's connection and not by its pool: the pool sends a message again when a connection
 * breaks, and does not tell how far it had come. Here it is known whether the body has begun, which is what tells a
 * mail that was certainly not delivered from one that may have been.
 */
export class SmtpTransport implements MailTransport {
  readonly #server: SmtpServer;

  constructor(
    smtpUrl: string,
    production: boolean,
    private readonly limits: SmtpLimits = SMTP_LIMITS,
  ) {
    this.#server = readSmtpUrl(smtpUrl, production);
  }

  async open(): Promise<MailSession> {
    const { connectMsMax, greetingMsMax, openMsMax, bodyMsMax } = this.limits;
    const connection = new SMTPConnection({
      ...this.#server.options,
      connectionTimeout: connectMsMax,
      greetingTimeout: greetingMsMax,
      dnsTimeout: connectMsMax,
      socketTimeout: bodyMsMax,
      socketCloseTimeout: 1_000,
    });
    try {
      await opened(connection, this.#server.auth, openMsMax);
    } catch (error) {
      connection.close();
      throw new MailServerAway(reasonOf(error));
    }
    return new SmtpSession(connection, this.limits);
  }
}

async function opened(
  connection: SMTPConnection,
  auth: SmtpServer['auth'],
  limitMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new SmtpTimeout()), limitMs);
    const settle = (error?: Error | null): void => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    };
    // Stays for the connection's life: what fails later is told to whoever is sending.
    connection.on('error', settle);
    connection.once('end', () => settle(new ConnectionLost()));
    connection.connect((error) => {
      if (error || auth === null) settle(error);
      else if (!connection.allowsAuth) settle(new AuthNotOffered());
      else connection.login(auth, settle);
    });
  });
}

class SmtpTimeout extends Error {
  readonly code = 'timeout';
}
class ConnectionLost extends Error {
  readonly code = 'connection_lost';
}
class AuthNotOffered extends Error {
  readonly code = 'auth_not_offered';
}

class SmtpSession implements MailSession {
  #usable = true;

  constructor(
    private readonly connection: SMTPConnection,
    private readonly limits: SmtpLimits,
  ) {
    connection.once('end', () => {
      this.#usable = false;
    });
  }

  get usable(): boolean {
    return this.#usable;
  }

  async deliver(mail: OutgoingMail, mayBegin: () => boolean): Promise<Delivery> {
    const { connection } = this;
    const delivery = await new Promise<Delivery>((resolve) => {
      const body = new Body(mail.bytes, mayBegin, () => arm(this.limits.bodyMsMax));
      const fail = (error: unknown): void => settle(failureOf(error, body.begun));
      const lost = (): void => fail(new ConnectionLost());
      let timer: NodeJS.Timeout | undefined;
      const arm = (limitMs: number): void => {
        clearTimeout(timer);
        timer = setTimeout(() => fail(new SmtpTimeout()), limitMs);
      };
      const settle = (ended: Delivery): void => {
        clearTimeout(timer);
        connection.off('error', fail);
        connection.off('end', lost);
        resolve(ended);
      };
      connection.on('error', fail);
      connection.on('end', lost);
      arm(this.limits.envelopeMsMax);
      connection.send({ from: mail.envelope.from, to: [mail.envelope.to] }, body, (error) => {
        if (error) fail(error);
        else settle({ kind: 'accepted' });
      });
    });
    if (delivery.kind !== 'accepted') this.close();
    return delivery;
  }

  close(): void {
    this.#usable = false;
    this.connection.close();
  }
}

/** Read only once the server has asked for it: the moment from which a mail may have been delivered. */
class Body extends Readable {
  #begun = false;

  constructor(
    private readonly bytes: Buffer,
    private readonly mayBegin: () => boolean,
    private readonly onBegin: () => void,
  ) {
    super();
  }

  get begun(): boolean {
    return this.#begun;
  }

  override _read(): void {
    if (this.#begun) return;
    if (!this.mayBegin()) {
      this.destroy(new ClaimTooOld());
      return;
    }
    this.#begun = true;
    this.onBegin();
    this.push(this.bytes);
    this.push(null);
  }
}

class ClaimTooOld extends Error {
  readonly code = 'claim_too_old';
}

/** What nodemailer's error tells; its message quotes addresses, and is left behind. */
interface SmtpFailure {
  readonly code?: unknown;
  readonly responseCode?: unknown;
  readonly command?: unknown;
}

function failureOf(error: unknown, begun: boolean): Delivery {
  const { responseCode, command, code } = error as SmtpFailure;
  const reason = reasonOf(error);
  if (isRefusal(responseCode)) {
    const recipientUnknown = command === 'RCPT TO' && responseCode >= 500;
    return { kind: 'refused', reason, recipientUnknown };
  }
  if (begun) return { kind: 'unknown', reason };
  // The address itself cannot be said in SMTP; no server was asked.
  if (code === 'EENVELOPE') return { kind: 'refused', reason, recipientUnknown: true };
  return { kind: 'not_sent', reason };
}

function isRefusal(code: unknown): code is number {
  return typeof code === 'number' && code >= 400 && code <= 599;
}

const CODE = /^[A-Za-z0-9_]{1,40}$/;

function reasonOf(error: unknown): string {
  const { code, responseCode } = error as SmtpFailure;
  if (isRefusal(responseCode)) return `smtp_${responseCode}`;
  return typeof code === 'string' && CODE.test(code) ? code : 'unknown';
}
