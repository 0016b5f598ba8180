import { safeError, type Logger } from '../platform/telemetry/logger.js';
import type { Provider } from '../domain/routing/provider.js';
import type { PriceBook } from '../modules/catalog/price-book.js';
import type { CallRecord, StartRecord } from '../modules/records/call-record.js';
import { classifyFailure } from '../modules/providers/failure.js';
import type { Shadow, ShadowInput } from '../modules/classifier/shadow.js';
import type { TokenEstimator } from '../modules/tokenizer/token-estimator.js';
import type { Admitted, Arrival, Attempt, Authenticated, Planned } from './call.js';
import type { CallEnd } from './call-end.js';
import { clippedView } from './body/clipped-view.js';
import type { GatewayMetrics } from './gateway.metrics.js';
import { ERRORS, Refusal } from './gateway-error.js';
import { meter, meterEstimate, type Metering } from './stages/meter.js';
import {
  finalRecord,
  refusalRecord,
  startRecord,
  type Ending,
  type Ratings,
} from './stages/record.js';
import type { FailedAttempt } from './stages/failed-attempt.js';
import { declaredLength } from './stages/read-body.js';
import type { Settlement } from './stages/relay.js';
import { savingsOf, type Savings } from './stages/savings.js';

/** The spool, as the gateway sees it: `onWritten` runs when the record would survive this process. */
export interface RecordSink {
  start(record: StartRecord, onWritten: () => void): void;
  finish(record: CallRecord, onWritten: () => void): void;
}

export interface AccountantParts {
  readonly records: RecordSink;
  readonly prices: PriceBook;
  readonly shadow: (input: ShadowInput) => Shadow;
  readonly estimator: TokenEstimator;
  readonly ends: CallEnd;
  readonly metrics: GatewayMetrics;
  readonly logger: Logger;
}

/** Turns what happened to a call into its one record: metered, priced, with what routing would have made of it. */
export class CallAccountant {
  private readonly shadows = new WeakMap<Planned, Shadow>();
  private inFlight = 0;
  private closing: (() => void) | null = null;
  private cutting = false;

  constructor(private readonly parts: AccountantParts) {}

  /** Counts a call in; a refusal once the replica is shutting down. */
  open(call: Authenticated): Refusal | null {
    // A client that has gone already is not heard to go again.
    if (!call.res.destroyed) {
      this.inFlight++;
      call.res.once('close', () => {
        this.inFlight--;
        if (this.inFlight === 0) this.closing?.();
      });
    }
    return this.closing === null ? null : new Refusal('shutting_down', 1);
  }

  /** Resolves when no call is in flight, or after `limitMs`; new calls are refused from here on. */
  drain(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.closing = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.inFlight === 0) this.closing();
    });
  }

  /** The drain is over: what is still open is being cut off by this replica. */
  cut(): void {
    this.cutting = true;
  }

  get isCutting(): boolean {
    return this.cutting;
  }

  started(call: Planned, onWritten: () => void): void {
    this.parts.records.start(startRecord(call), onWritten);
  }

  /** The provider has the call: now there is time to think about it. */
  sent(call: Planned): void {
    setImmediate(() => {
      try {
        this.shadowOf(call);
        call.payload?.lookedAt(ESTIMATED_BYTES_MAX);
      } catch (error) {
        this.crashed(call, error);
      }
    });
  }

  /** An attempt is about to be sent. */
  begun(call: Planned, attempt: Attempt): void {
    this.guarded(call, () => this.parts.ends.begun(call, attempt));
  }

  /** An attempt was given up for another. */
  attemptFailed(call: Planned, failed: FailedAttempt): void {
    this.parts.metrics.fellBack(failed.attempt.provider, failed.failure);
    this.guarded(call, () => this.parts.ends.attemptFailed(failed));
  }

  undecided(call: Admitted, error: unknown): void {
    this.parts.metrics.undecided();
    this.crashed(call, error);
  }

  /** What others want to know of a call must not be its undoing. */
  private guarded(call: Arrival, tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.crashed(call, error);
    }
  }

  turnedAway(arrival: Arrival, refusal: Refusal): void {
    this.parts.metrics.refused(arrival.route.provider, refusal.code);
    this.parts.logger.debug(
      { requestId: arrival.requestId, code: refusal.code },
      'call turned away',
    );
  }

  refused(call: Authenticated, refusal: Refusal, onWritten: () => void): void {
    this.parts.metrics.refused(call.route.provider, refusal.code);
    this.parts.logger.debug({ requestId: call.requestId, code: refusal.code }, 'call refused');
    const ending: Ending = {
      outcome: refusal.code === 'body_incomplete' ? 'client_aborted' : 'refused',
      status: refusal.status,
      errorCode: refusal.code,
      failureClass: null,
      upstreamRequestId: null,
      requestBytes: 0,
      responseBytes: 0,
      timeToFirstByteMs: null,
      latencyMs: performance.now() - call.startedAt,
      synthetic: call.principal.sandbox,
      attempt: null,
      decision: 'passthrough',
    };
    this.parts.records.finish(refusalRecord(call, ending), onWritten);
  }

  /** A fault of Shunt's own: said with its place, never with its message, which may quote content. */
  crashed(arrival: Arrival, error: unknown): void {
    this.parts.logger.error(
      { requestId: arrival.requestId, err: safeError(error) },
      'a call failed inside the gateway',
    );
  }

  /** Whatever goes wrong in accounting, the answer is released. */
  settled(call: Planned, settlement: Settlement, release: () => void): void {
    try {
      this.account(call, settlement, release);
    } catch (error) {
      this.crashed(call, error);
      const ending = { ...endingOf(call, settlement), errorCode: 'internal' as const };
      const metering = { kind: 'unmetered', reason: 'unreadable' } as const;
      const ratings = { served: null, projected: null };
      this.parts.records.finish(finalRecord(call, ending, metering, ratings, null, null), release);
    }
  }

  private account(call: Planned, settlement: Settlement, release: () => void): void {
    const { metrics, logger, records } = this.parts;
    const metering = meter(call, settlement);
    const ending = endingOf(call, settlement);
    metrics.ended(call.route.provider, ending.outcome, metering.kind);
    if (ending.errorCode !== null) metrics.failed(call.route.provider, ending.errorCode);
    logger.debug(
      { requestId: call.requestId, outcome: ending.outcome, code: ending.errorCode },
      'call ended',
    );
    const { record, savings } = this.recordOf(call, settlement, ending, metering);
    records.finish(record, release);
    // What costs nothing is missing in no sum.
    if (savings.exclusion !== null && metering.kind !== 'not_applicable')
      metrics.excluded(savings.exclusion);
    this.guarded(call, () => this.parts.ends.ended(call, settlement, ending.failureClass));
    this.guarded(call, () => this.parts.ends.noteSession(call, settlement, metering));
    if (isEstimable(call, metering)) this.estimate(call, settlement, ending, metering);
  }

  private shadowOf(call: Planned): Shadow {
    const known = this.shadows.get(call);
    if (known !== undefined) return known;
    const { facts, payload, routing } = call;
    // What the router saw of the body is not looked at again.
    const isSeen = facts === null || routing !== null;
    const view = isSeen ? null : clippedView(payload!.plain, facts.scanned);
    const shadow = this.parts.shadow({
      principal: call.principal,
      provider: call.route.provider,
      format: call.route.format,
      model: call.requested,
      headers: call.req.headers,
      body: view,
      sighting: routing?.sighting ?? null,
    });
    this.shadows.set(call, shadow);
    return shadow;
  }

  private recordOf(
    call: Planned,
    settlement: Settlement,
    ending: Ending,
    metering: Metering,
  ): { readonly record: CallRecord; readonly savings: Savings } {
    const shadow = this.shadowOf(call);
    const ratings = this.ratingsOf(call, settlement, metering, shadow);
    const savings = this.savingsOf(call, settlement, metering, ratings);
    return { record: finalRecord(call, ending, metering, ratings, shadow, savings), savings };
  }

  /** What was saved may be in doubt: what a call cost is recorded all the same. */
  private savingsOf(
    call: Planned,
    settlement: Settlement,
    metering: Metering,
    { served }: Ratings,
  ): Savings {
    try {
      return savingsOf(call, settlement, metering, served, this.parts.prices);
    } catch (error) {
      this.crashed(call, error);
      const unknownCostAttempts = settlement.failed.length;
      return { entries: [], exclusion: 'unpriceable', baselineNanoUsd: null, unknownCostAttempts };
    }
  }

  private ratingsOf(
    call: Planned,
    { attempt }: Settlement,
    metering: Metering,
    shadow: Shadow,
  ): Ratings {
    const { prices } = this.parts;
    if (metering.kind !== 'reported' && metering.kind !== 'estimated') {
      return { served: null, projected: null };
    }
    const { report } = metering;
    const rateAs = (provider: Provider, model: string | null) =>
      model === null
        ? null
        : prices.rate({
            provider,
            model,
            atMs: call.startedAtMs,
            usage: report.usage,
            serviceTier: report.serviceTier,
            speed: report.speed,
            region: report.region,
            negotiated: call.principal.negotiatedPrices,
          });
    const served = rateAs(attempt.provider, report.answeringModel ?? attempt.model);
    // A projection says what routing would make of a call: of one that was routed, what it made of it.
    const stays =
      shadow.projectedModel === null ||
      shadow.projectedModel === call.requested ||
      attempt.model !== call.requested;
    return {
      served,
      projected: stays ? served : rateAs(call.route.provider, shadow.projectedModel),
    };
  }

  /** Replaces an unknown by a marked estimate, after the call is over and outside its way. */
  private estimate(call: Planned, settlement: Settlement, ending: Ending, known: Metering): void {
    const { estimator, records, logger } = this.parts;
    const { payload } = call;
    if (payload === null) return;
    const sample = settlement.reader?.sample() ?? { bytes: NO_BYTES, totalBytes: 0 };
    void estimator
      .estimate({
        request: payload.plain.subarray(0, ESTIMATED_BYTES_MAX),
        requestBytes: payload.plainBytes,
        answer: sample.bytes,
        answerBytes: sample.totalBytes,
      })
      .then((estimate) => {
        if (estimate === null) return;
        const metering = meterEstimate(settlement, known, estimate);
        const { record } = this.recordOf(call, settlement, ending, metering);
        records.finish({ ...record, revision: 2 }, () => {});
        logger.debug({ requestId: call.requestId }, 'usage estimated');
      })
      .catch((error: unknown) => this.crashed(call, error));
  }
}

const NO_BYTES = Buffer.alloc(0);
/** A longer request is estimated by its head, scaled. */
const ESTIMATED_BYTES_MAX = 256 * 1024;

/** An answer that was cut short, or a stream whose client, or strict project, wanted no usage in it. */
function isEstimable(call: Planned, metering: Metering): boolean {
  if (metering.kind === 'estimated') return true;
  if (metering.kind !== 'unmetered') return false;
  if (metering.reason === 'cut_short') return true;
  return metering.reason === 'not_reported' && call.streamed && call.route.format === 'openai_chat';
}

function endingOf(call: Planned, settlement: Settlement): Ending {
  const { status, firstByteAt, errorCode } = settlement;
  return {
    outcome: settlement.outcome,
    status: status ?? (errorCode === null ? null : ERRORS[errorCode][0]),
    errorCode,
    failureClass: failureClassOf(settlement),
    upstreamRequestId: settlement.upstreamRequestId,
    requestBytes: call.payload?.rawBytes ?? (declaredLength(call.req) || 0),
    responseBytes: settlement.responseBytes,
    timeToFirstByteMs: firstByteAt === null ? null : firstByteAt - call.startedAt,
    latencyMs: performance.now() - call.startedAt,
    synthetic: settlement.synthetic,
    attempt: settlement.attempt,
    decision: settlement.decision,
  };
}

/** The provider's failures, and the network's; not the client's, and not Shunt's own. */
function failureClassOf(settlement: Settlement) {
  const { outcome, status, findings, errorCode, attempt } = settlement;
  if (outcome === 'upstream_error' || findings?.error !== undefined) {
    return classifyFailure(attempt.provider, { status: status ?? 0, error: findings?.error });
  }
  if (errorCode === 'body_too_large') return 'caller_fault';
  if (errorCode === 'internal' || errorCode === 'shutting_down') return null;
  return outcome === 'upstream_failed' || outcome === 'truncated' ? 'transient' : null;
}
