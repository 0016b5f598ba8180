/** A mail as it goes over the wire. */
export interface OutgoingMail {
  readonly envelope: { readonly from: string; readonly to: string };
  readonly bytes: Buffer;
}

/**
 * How an attempt ended. Only `unknown` is in doubt: the body had begun to go out, and the server's word on it never
 * came. `reason` is of a closed form (`smtp_451`, `connection_lost`, ...), never what a server said.
 */
export type Delivery =
  | { readonly kind: 'accepted' }
  /** The server said no; nothing was delivered. */
  | { readonly kind: 'refused'; readonly reason: string; readonly recipientUnknown: boolean }
  /** The connection failed before the body began. */
  | { readonly kind: 'not_sent'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface MailSession {
  /** False once it failed: the next mail needs another session. */
  readonly usable: boolean;
  /** `mayBegin` is asked right before the first byte of the body; after false nothing of it goes out. Never rejects. */
  deliver(mail: OutgoingMail, mayBegin: () => boolean): Promise<Delivery>;
  close(): void;
}

export interface MailTransport {
  /** Connected, secured and signed in. Rejects with `MailServerAway`. */
  open(): Promise<MailSession>;
}

/** No session can be had; no mail was touched. */
export class MailServerAway extends Error {
  override readonly name = 'MailServerAway';

  constructor(readonly reason: string) {
    super('The mail server cannot be reached');
  }
}
