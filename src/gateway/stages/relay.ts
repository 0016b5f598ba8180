import type { ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import type { AnswerFindings, AnswerReader } from '../answer/answer-reader.js';
import { chooseReader } from '../answer/choose-reader.js';
import { GuardedReader } from '../answer/guarded-reader.js';
import type { Attempt, Planned } from '../call.js';
import { errorEvent, type ErrorCode } from '../gateway-error.js';
import { answerHeaders, relayedHeaders } from './answer-headers.js';
import type { Decision, Outcome } from '../../modules/records/call-record.js';
import type { FailedAttempt, UpstreamHeaders } from './failed-attempt.js';

/** How an answer ended; given once per call. */
export interface Settlement {
  readonly outcome: Outcome;
  /** The status that the client got; null where it got none. */
  readonly status: number | null;
  readonly errorCode: ErrorCode | null;
  readonly findings: AnswerFindings | null;
  readonly reader: AnswerReader | null;
  /** The provider was sent the call, or a part of it. */
  readonly sent: boolean;
  readonly upstreamRequestId: string | null;
  readonly firstByteAt: number | null;
  readonly responseBytes: number;
  readonly synthetic: boolean;
  /** Whose answer it is: the one decided on, or a fallback. */
  readonly attempt: Attempt;
  readonly decision: Decision;
  /** Those before it, in their order. */
  readonly failed: readonly FailedAttempt[];
  /** The provider's, where it answered. */
  readonly headers: UpstreamHeaders;
}

const NO_HEADERS: UpstreamHeaders = Object.freeze({});

/** What a relay tells, and asks, the rest of the gateway. */
export interface RelayEvents {
  /** Takes the settlement to the record; `release` lets the last bytes go, once the record is written. */
  settled(settlement: Settlement, release: () => void): void;
  /** A fault of Shunt's own in reading the answer, which goes on. */
  fault(error: unknown): void;
  /** True while this replica cuts off what its end cannot wait for. */
  isCutting(): boolean;
}

/** A client that reads nothing for so long is gone. */
export const CLIENT_STALL_MS_MAX = 660_000;

const CLIENT_GONE = new Error('the client is gone');
CLIENT_GONE.stack = '';

/**
 * Passes an answer through, byte for byte as it comes, reading it on the side. The final record is written before the
 * last byte is released: a client that saw an answer complete has a record. A client that reads slowly slows the
 * provider down; one that goes away ends the provider's work.
 */
export class Relay implements Dispatcher.DispatchHandler {
  private controller: Dispatcher.DispatchController | null = null;
  private reader: AnswerReader | null = null;
  private status: number | null = null;
  private upstreamRequestId: string | null = null;
  private synthetic: boolean;
  private attempt: Attempt;
  private decision: Decision;
  private headers: UpstreamHeaders = NO_HEADERS;
  private readonly failed: FailedAttempt[] = [];
  private isEventStream = false;
  private firstByteAt: number | null = null;
  private responseBytes = 0;
  private bytesToCome = Number.NaN;
  private settled = false;
  private released = false;
  private upstreamDone = false;
  private withheld: Buffer[] = [];
  private stall: NodeJS.Timeout | null = null;

  constructor(
    private readonly call: Planned,
    private readonly events: RelayEvents,
  ) {
    this.attempt = call.attempt;
    this.decision = call.decision;
    this.synthetic = call.attempt.upstream.synthetic;
    call.res.once('close', () => this.clientClosed());
    call.res.on('drain', () => this.clientReads());
  }

  /** The attempt before came to nothing, and nothing of it reached the client: this one answers instead. */
  serveInstead(attempt: Attempt, failed: FailedAttempt): void {
    this.failed.push(failed);
    this.attempt = attempt;
    this.decision = 'fallback';
    this.synthetic = attempt.upstream.synthetic;
    this.controller = null;
  }

  /** Nothing that comes now would reach anybody. */
  get isSettled(): boolean {
    return this.settled;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.settled) controller.abort(CLIENT_GONE);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: UpstreamHeaders,
  ): void {
    if (status < 200 || this.settled) return;
    try {
      this.begin(controller, status, headers);
    } catch {
      // Node refuses to write header bytes that HTTP does not allow.
      this.status = null;
      this.settle('upstream_failed', 'upstream_garbled');
      this.reader = null;
      controller.abort(CLIENT_GONE);
    }
  }

  private begin(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: UpstreamHeaders,
  ): void {
    const { call, attempt, decision } = this;
    this.status = status;
    this.headers = headers;
    this.upstreamRequestId = text(headers['x-request-id'] ?? headers['request-id']);
    this.synthetic ||= headers['x-shunt-sandbox'] !== undefined;
    const contentType = text(headers['content-type']) ?? '';
    this.isEventStream = contentType.startsWith('text/event-stream');
    const contentEncoding = text(headers['content-encoding']);
    const answer = { status, contentType, contentEncoding };
    const onFault = (error: unknown): void => this.events.fault(error);
    const reader = chooseReader(call.route.format, attempt.injected, answer, onFault);
    this.reader = new GuardedReader(reader, onFault);
    this.bytesToCome = Number(headers['content-length'] ?? Number.NaN);
    const shortened = this.isEventStream && attempt.injected;
    call.res.writeHead(status, [
      ...relayedHeaders(controller.rawHeaders, headers.connection, shortened),
      ...answerHeaders(call, { attempt, decision, synthetic: this.synthetic }),
    ]);
    // A stream's first event may be long in coming; its headers need not wait for it.
    if (this.isEventStream) setImmediate(() => this.flushHeaders());
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { reader } = this;
    // Of an answer that never began nothing is passed on: its client had gone, or its headers were none.
    if (reader === null) return;
    this.firstByteAt ??= performance.now();
    this.responseBytes += chunk.length;
    this.bytesToCome -= chunk.length;
    const released = reader.feed(chunk);
    if (this.settled) return this.passOrWithhold(released, controller);
    if (reader.ended || this.bytesToCome === 0) {
      if (released !== null) this.withheld.push(released);
      this.settle('completed', null);
    } else if (released !== null) this.write(released, controller);
  }

  onResponseEnd(): void {
    this.upstreamDone = true;
    const rest = this.reader?.flush() ?? null;
    if (rest !== null) this.passOrWithhold(rest, this.controller);
    if (!this.settled) this.settle('completed', null);
    else if (this.released) this.call.res.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.upstreamDone = true;
    if (this.settled) {
      // The answer itself was whole: what broke is the connection behind it.
      if (this.released) this.call.res.end();
      return;
    }
    const code = codeOf(error, this.status !== null);
    if (code === 'body_too_large' && this.status === null) this.settle('refused', code);
    else this.settle(this.status === null ? 'upstream_failed' : 'truncated', code);
  }

  /** The call could not even be sent: a fault of Shunt's own. */
  unsent(): void {
    if (!this.settled) this.settle('upstream_failed', 'internal');
  }

  clientClosed(): void {
    this.clearStall();
    if (!this.settled) {
      if (this.events.isCutting()) this.settle('truncated', 'shutting_down');
      else this.settle('client_aborted', null);
    }
    // Also after the last event: a provider that goes on sending would do so for nobody.
    if (!this.upstreamDone) this.controller?.abort(CLIENT_GONE);
  }

  private flushHeaders(): void {
    if (this.responseBytes === 0 && !this.call.res.destroyed) this.call.res.flushHeaders();
  }

  private write(bytes: Buffer, controller: Dispatcher.DispatchController | null): void {
    if (this.call.res.write(bytes) || controller === null) return;
    controller.pause();
    this.stall ??= setTimeout(() => this.clientStalled(), CLIENT_STALL_MS_MAX).unref();
  }

  private clientReads(): void {
    this.clearStall();
    this.controller?.resume();
  }

  private clearStall(): void {
    if (this.stall !== null) clearTimeout(this.stall);
    this.stall = null;
  }

  private clientStalled(): void {
    if (!this.settled) this.settle('client_aborted', 'client_stalled');
    this.controller?.abort(CLIENT_GONE);
    this.call.res.destroy();
  }

  private passOrWithhold(
    bytes: Buffer | null,
    controller: Dispatcher.DispatchController | null,
  ): void {
    if (bytes === null) return;
    if (this.released || !this.settled) this.write(bytes, controller);
    else this.withheld.push(bytes);
  }

  private settle(outcome: Outcome, errorCode: ErrorCode | null): void {
    this.settled = true;
    const findings = this.reader?.findings() ?? null;
    if (findings instanceof Promise) {
      void findings.then((found) => this.report(outcome, errorCode, found));
    } else this.report(outcome, errorCode, findings);
  }

  private report(
    outcome: Outcome,
    errorCode: ErrorCode | null,
    findings: AnswerFindings | null,
  ): void {
    const settlement: Settlement = {
      outcome: outcomeOf(outcome, this.status, findings),
      status: this.status,
      errorCode,
      findings,
      reader: this.reader,
      sent: this.controller !== null || this.failed.length > 0,
      upstreamRequestId: this.upstreamRequestId,
      firstByteAt: this.firstByteAt,
      responseBytes: this.responseBytes,
      synthetic: this.synthetic,
      attempt: this.attempt,
      decision: this.decision,
      failed: this.failed,
      headers: this.headers,
    };
    this.events.settled(settlement, () => this.release(outcome, errorCode));
  }

  /** The record is written: the last bytes may go. */
  private release(outcome: Outcome, errorCode: ErrorCode | null): void {
    this.released = true;
    const { res } = this.call;
    if (res.destroyed || this.status === null) return;
    const last = this.withheld.pop();
    for (const bytes of this.withheld.splice(0)) res.write(bytes);
    if (outcome !== 'truncated' && this.upstreamDone) {
      res.end(last);
      return;
    }
    if (last !== undefined) res.write(last);
    if (outcome === 'truncated') endTruncated(this.call, this.mayAddEvent() ? errorCode : null);
  }

  /** Words of our own may follow only whole events, in an encoding that is ours to write. */
  private mayAddEvent(): boolean {
    return this.isEventStream && this.reader?.atBoundary === true;
  }
}

/** A cut answer stays cut, as it would be without Shunt; only our own limit is explained, where that is possible. */
function endTruncated(call: Planned, code: ErrorCode | null): void {
  if (code !== 'upstream_idle_timeout') {
    destroySoon(call.res);
    return;
  }
  call.res.end(errorEvent(call.route.envelope, code, call.requestId));
}

/** Lets what was written reach the client before the connection breaks. */
function destroySoon(res: ServerResponse): void {
  if (res.writableLength === 0 && res.socket?.writableLength === 0) res.destroy();
  else res.write('', () => res.destroy());
}

function outcomeOf(
  outcome: Outcome,
  status: number | null,
  findings: AnswerFindings | null,
): Outcome {
  if (outcome !== 'completed') return outcome;
  if (status !== null && status >= 400) return 'upstream_error';
  if (findings?.error !== undefined) return 'upstream_error';
  return findings !== null && !findings.complete && !findings.unreadable
    ? 'truncated'
    : 'completed';
}

function text(header: string | string[] | undefined): string | null {
  return (Array.isArray(header) ? header[0] : header) ?? null;
}

/** Which of Shunt's errors a failed attempt is (codes: undici's and Node's own). */
function codeOf(error: Error, answering: boolean): ErrorCode {
  const { code } = error as { code?: string };
  const { name } = error;
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') return 'upstream_connect_timeout';
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'upstream_first_byte_timeout';
  if (code === 'UND_ERR_BODY_TIMEOUT') return 'upstream_idle_timeout';
  if (code === 'body_too_large') return 'body_too_large';
  if (name === 'HTTPParserError' || GARBLED.has(code ?? '')) return 'upstream_garbled';
  if (answering || CLOSED.has(code ?? '')) return 'upstream_closed';
  return code?.startsWith('UND_ERR_INVALID') ? 'internal' : 'upstream_unreachable';
}

const GARBLED: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]);
const CLOSED: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);
