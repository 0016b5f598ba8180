import { mayFallBack } from '../../domain/failure/fallback.js';
import { sameTarget } from '../../domain/routing/session-state.js';
import type { Target } from '../../domain/routing/decision.js';
import { classifyFailure } from '../../modules/providers/failure.js';
import { errorIn } from '../answer/answer-reader.js';
import { decoded } from '../answer/decoded-error.js';
import type { Attempt, Planned } from '../call.js';
import { FALLBACK_LIMITS, forward, type FallbackLimits, type UpstreamLimits } from './forward.js';
import { mayServe, prepareAttempt, type AttemptContext } from './prepare-attempt.js';
import type { FailedAttempt } from './failed-attempt.js';
import type { Relay } from './relay.js';
import { TentativeAnswer, type TentativeFailure } from './tentative-answer.js';

/** What falling back needs of the rest of the gateway. */
export interface FallbackParts {
  readonly limits: UpstreamLimits;
  readonly context: AttemptContext;
  /** Once routing is off, nothing but what the client asked for is tried. */
  mayRoute(): boolean;
  /** Right before an attempt is sent. */
  begun(attempt: Attempt): void;
  failed(failed: FailedAttempt): void;
  /** It is settled whose answer the client gets: no further attempt is made. */
  decided(): void;
  /** A fault of Shunt's own in making the next attempt. */
  fault(error: unknown): void;
}

/**
 * Carries a call out in up to three attempts: what was decided, then the fallbacks, one after the other, as long as
 * nothing has reached the client. The last one's answer is relayed whatever it is.
 */
export class FallbackChain {
  private readonly left: Target[];
  private attempt: Attempt;
  private readonly limits: FallbackLimits;

  constructor(
    private readonly call: Planned,
    private readonly relay: Relay,
    private readonly parts: FallbackParts,
  ) {
    this.left = [...call.fallbacks];
    this.attempt = call.attempt;
    this.limits = parts.limits.fallback ?? FALLBACK_LIMITS;
  }

  start(): void {
    this.send(this.attempt);
  }

  private send(attempt: Attempt): void {
    const { call, relay, parts } = this;
    this.attempt = attempt;
    parts.begun(attempt);
    if (this.left.length === 0) {
      forward(call, attempt, relay, parts.limits);
      return parts.decided();
    }
    const { streamedMs, wholeMs } = this.limits;
    const limitMs = call.streamed ? streamedMs : wholeMs;
    const tentative = new TentativeAnswer(relay, limitMs, {
      failed: (failure) => this.goElsewhere(attempt, failure),
      answers: () => parts.decided(),
    });
    forward(call, attempt, tentative, parts.limits);
  }

  /** True where another attempt was made: the failed one's answer is not for the client. */
  private goElsewhere(attempt: Attempt, failure: TentativeFailure): boolean {
    try {
      const failed = failedAttempt(attempt, failure);
      const next = this.next(failed);
      if (next === null) return false;
      this.parts.failed(failed);
      this.relay.serveInstead(next, failed);
      this.send(next);
    } catch (error) {
      this.parts.fault(error);
      this.relay.unsent();
    }
    return true;
  }

  private next({ attempt, failure }: FailedAttempt): Attempt | null {
    const { call, parts, relay, left } = this;
    const elapsedMs = performance.now() - call.startedAt;
    if (relay.isSettled || elapsedMs > this.limits.withinMs) return null;
    const mayRoute = parts.mayRoute();
    for (let target = left.shift(); target !== undefined; target = left.shift()) {
      const isRequested = sameTarget(target, call.routing!.inputs.requested);
      if (!isRequested && !mayRoute) continue;
      const fallback = {
        to: isRequested ? ('requested' as const) : ('chain' as const),
        sameKey: target.provider === attempt.provider,
      };
      // Whatever made the list: a model that the organization does not allow is never reached.
      if (!mayFallBack(failure, fallback) || !mayServe(call, target)) continue;
      return prepareAttempt(call, target, attempt.number + 1, parts.context);
    }
    return null;
  }
}

function failedAttempt(attempt: Attempt, failure: TentativeFailure): FailedAttempt {
  if (failure.kind === 'no_answer') {
    const nothing = { headers: {}, answer: undefined, error: undefined };
    const usage = failure.sent ? 'unknown' : 'nothing';
    return { attempt, usage, failure: 'transient', ...nothing };
  }
  const { status, headers, whole } = failure;
  const body = whole ? decoded(failure.body, headers['content-encoding']) : null;
  const answer = parsed(body ?? failure.body);
  const error = errorIn(Array.isArray(answer) ? answer[0] : answer);
  const classed = classifyFailure(attempt.provider, { status, error });
  const usage = body === null ? 'unknown' : 'stated';
  return { attempt, usage, failure: classed, headers, answer, error };
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    return undefined;
  }
}
