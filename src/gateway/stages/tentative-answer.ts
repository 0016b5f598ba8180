import type { Dispatcher } from 'undici';
import type { UpstreamHeaders } from './failed-attempt.js';

/** How an attempt failed before anything of it reached the client. */
export type TentativeFailure =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: UpstreamHeaders;
      readonly body: Buffer;
      /** False for the beginning of one that was too long, too slow, or broke off. */
      readonly whole: boolean;
    }
  /** No connection, or one that broke; or it took too long. */
  | { readonly kind: 'no_answer'; readonly sent: boolean };

export interface TentativeEvents {
  /** True where another attempt takes this one's place. */
  failed(failure: TentativeFailure): boolean;
  /** From here on the answer is the client's. */
  answers(): void;
}

/** Of an error's answer so much is kept to tell what it is; a longer one is told by its status. */
export const HELD_BYTES_MAX = 65_536;
/** An error's answer that does not end by then is told by its status. */
const HELD_MS_MAX = 5_000;

const GIVEN_UP = new Error('another attempt was made');
GIVEN_UP.stack = '';

type Controller = Dispatcher.DispatchController;

/**
 * Stands before the relay as long as an attempt may still be given up for another. An answer that is no error passes
 * at once; an error is held until it is known what it is, and passes as it came where nothing takes its place.
 */
export class TentativeAnswer implements Dispatcher.DispatchHandler {
  private state: 'waiting' | 'held' | 'passing' | 'given_up' = 'waiting';
  private controller: Controller | null = null;
  private status = 0;
  private headers: UpstreamHeaders = {};
  private held: Buffer[] = [];
  private heldBytes = 0;
  private timer: NodeJS.Timeout | null;

  constructor(
    private readonly relay: Dispatcher.DispatchHandler,
    limitMs: number,
    private readonly events: TentativeEvents,
  ) {
    this.timer = setTimeout(() => this.tookTooLong(), limitMs).unref();
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.controller = controller;
    if (this.state === 'given_up') controller.abort(GIVEN_UP);
    else this.relay.onRequestStart?.(controller, context);
  }

  onResponseStart(
    controller: Controller,
    status: number,
    headers: UpstreamHeaders,
    statusMessage?: string,
  ): void {
    if (status < 200 || this.state === 'given_up') return;
    this.status = status;
    this.headers = headers;
    if (status < 400) {
      this.pass();
      this.relay.onResponseStart?.(controller, status, headers as never, statusMessage);
      return;
    }
    this.state = 'held';
    this.clearTimer();
    this.timer = setTimeout(() => this.judge(false), HELD_MS_MAX).unref();
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.state === 'passing') return this.relay.onResponseData?.(controller, chunk);
    if (this.state !== 'held') return;
    this.held.push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes > HELD_BYTES_MAX) this.judge(false);
  }

  onResponseEnd(controller: Controller, trailers: UpstreamHeaders): void {
    if (this.state === 'held') this.judge(true);
    if (this.state === 'passing') this.relay.onResponseEnd?.(controller, trailers as never);
  }

  onResponseError(controller: Controller, error: Error): void {
    if (this.state === 'held') this.judge(false);
    else if (this.state === 'waiting') this.giveUpOrPass(this.noAnswer());
    if (this.state === 'passing') this.relay.onResponseError?.(controller, error);
  }

  /** Nothing has come: where nobody takes its place it goes on waiting, as long as the provider's limit lets it. */
  private tookTooLong(): void {
    this.timer = null;
    if (this.state !== 'waiting') return;
    this.state = 'given_up';
    if (this.events.failed(this.noAnswer())) this.controller?.abort(GIVEN_UP);
    else this.state = 'waiting';
  }

  /** The pool takes hold of a call when it begins to send it. */
  private noAnswer(): TentativeFailure {
    return { kind: 'no_answer', sent: this.controller !== null };
  }

  private judge(whole: boolean): void {
    const { status, headers } = this;
    const body = Buffer.concat(this.held, Math.min(this.heldBytes, HELD_BYTES_MAX));
    this.giveUpOrPass({ kind: 'answer', status, headers, body, whole });
  }

  private giveUpOrPass(failure: TentativeFailure): void {
    const wasHeld = this.state === 'held';
    this.clearTimer();
    // Whoever makes the next attempt may find this one's end reported at once.
    this.state = 'given_up';
    if (this.events.failed(failure)) {
      this.held = [];
      this.controller?.abort(GIVEN_UP);
      return;
    }
    this.pass();
    if (!wasHeld || this.controller === null) return;
    this.relay.onResponseStart?.(this.controller, this.status, this.headers as never);
    for (const chunk of this.held.splice(0)) this.relay.onResponseData?.(this.controller, chunk);
  }

  private pass(): void {
    this.clearTimer();
    this.state = 'passing';
    this.events.answers();
  }

  private clearTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
