import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';

/** How the server treats the next mails. */
export type SmtpManners =
  | { readonly kind: 'accept' }
  /** Replies with that code: to `RCPT TO`, to `MAIL FROM`, or to the body. */
  | { readonly kind: 'refuse'; readonly at: 'rcpt' | 'mail' | 'data'; readonly code: number }
  | { readonly kind: 'close'; readonly at: 'connect' | 'mail' | 'body_begins' | 'body_read' }
  /** Takes what comes and never says anything. */
  | { readonly kind: 'silent'; readonly at: 'connect' | 'mail' | 'body_read' }
  | { readonly kind: 'slow'; readonly replyAfterMs: number };

/** A body that the server has read to its end, whatever it said to it. */
export interface SeenMail {
  readonly to: readonly string[];
  readonly from: string;
  readonly messageId: string;
  readonly accepted: boolean;
  readonly raw: Buffer;
}

/** A real SMTP server on loopback, in this process. */
export class TestSmtpServer {
  manners: SmtpManners = { kind: 'accept' };
  /** By address; goes before `manners`. */
  readonly mannersFor = new Map<string, SmtpManners>();
  readonly seen: SeenMail[] = [];
  /** Connections that were made to it. */
  connections = 0;
  /** Called as a body begins to arrive. */
  onBody: () => void = () => undefined;
  readonly #sockets = new Map<number, Socket>();
  readonly #server: SMTPServer;
  #port = 0;

  private constructor(options: SMTPServerOptions) {
    this.#server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      disableReverseLookup: true,
      closeTimeout: 100,
      logger: false,
      onConnect: (_session, callback) => {
        if (!this.#isSilent('connect')) callback();
      },
      onMailFrom: (_address, session, callback) => this.#answer('mail', session, callback),
      onRcptTo: (address, session, callback) =>
        this.#answer('rcpt', session, callback, address.address),
      onData: (stream, session, callback) => {
        const chunks: Buffer[] = [];
        const manners = this.#mannersOf(session);
        stream.once('data', () => {
          this.onBody();
          if (manners.kind === 'close' && manners.at === 'body_begins') this.#cut(session);
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => this.#bodyRead(Buffer.concat(chunks), session, manners, callback));
      },
      ...options,
    });
    this.#server.on('error', () => undefined);
    this.#server.server.on('connection', (socket) => {
      this.connections += 1;
      const { remotePort } = socket;
      if (remotePort === undefined) return;
      this.#sockets.set(remotePort, socket);
      socket.once('close', () => this.#sockets.delete(remotePort));
      if (this.manners.kind === 'close' && this.manners.at === 'connect') socket.destroy();
    });
  }

  static async start(options: SMTPServerOptions = {}): Promise<TestSmtpServer> {
    const server = new TestSmtpServer(options);
    await once(server.#server.listen(0, '127.0.0.1'), 'listening');
    server.#port = (server.#server.server.address() as AddressInfo).port;
    return server;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.#port}`;
  }

  get accepted(): SeenMail[] {
    return this.seen.filter((mail) => mail.accepted);
  }

  parse(mail: SeenMail | undefined): Promise<Email> {
    if (!mail) throw new Error('no such mail');
    return PostalMime.parse(mail.raw);
  }

  /** Forgets what it saw and is well-mannered again. */
  reset(): void {
    this.manners = { kind: 'accept' };
    this.mannersFor.clear();
    this.seen.length = 0;
    this.connections = 0;
    this.onBody = () => undefined;
  }

  /** Every connection ends here and now, as when a machine dies. */
  cutAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cutAll();
    await closed;
  }

  #mannersOf(session: SMTPServerSession): SmtpManners {
    const [to] = session.envelope.rcptTo;
    return this.mannersFor.get(to?.address ?? '') ?? this.manners;
  }

  #isSilent(at: string): boolean {
    return this.manners.kind === 'silent' && this.manners.at === at;
  }

  #answer(
    at: 'mail' | 'rcpt',
    session: SMTPServerSession,
    callback: (error?: Error | null) => void,
    address = '',
  ): void {
    const manners = this.mannersFor.get(address) ?? this.manners;
    if (manners.kind === 'refuse' && manners.at === at) return callback(refusal(manners.code));
    if (manners.kind === 'close' && manners.at === at) return this.#cut(session);
    if (!this.#isSilent(at)) callback();
  }

  #bodyRead(
    raw: Buffer,
    session: SMTPServerSession,
    manners: SmtpManners,
    callback: (error?: Error | null, message?: string) => void,
  ): void {
    if (manners.kind === 'close' && manners.at === 'body_begins') return;
    const accepted = manners.kind === 'accept' || manners.kind === 'slow';
    this.seen.push({
      to: session.envelope.rcptTo.map(({ address }) => address),
      from: session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address,
      messageId: /^Message-ID: *(\S+)/im.exec(raw.toString('latin1'))?.[1] ?? '',
      accepted,
      raw,
    });
    if (manners.kind === 'refuse') callback(refusal(manners.code));
    else if (manners.kind === 'close') this.#cut(session);
    else if (manners.kind === 'slow') setTimeout(() => callback(null), manners.replyAfterMs);
    else if (manners.kind === 'accept') callback(null);
  }

  #cut(session: SMTPServerSession): void {
    this.#sockets.get(session.remotePort)?.destroy();
  }
}

/** Quotes an address, as real servers do: it must show nowhere. */
function refusal(code: number): Error {
  return Object.assign(new Error('<someone@example.com> is not wanted here'), {
    responseCode: code,
  });
}
