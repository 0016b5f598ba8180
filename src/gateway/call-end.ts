import type { FailureClass } from '../domain/failure/failure-class.js';
import { difficultyOf } from '../domain/routing/session-difficulty.js';
import { earlierAnswers } from '../domain/routing/session-state.js';
import type { AttemptEnd, AttemptReport, AttemptWatch } from '../modules/routing/attempt-watch.js';
import { watchedCall } from '../modules/routing/router.js';
import { cacheRulesOf } from '../modules/session-routing/cache-rules.js';
import type { SessionStore } from '../modules/session-routing/session-store.js';
import type { Attempt, Planned } from './call.js';
import type { FailedAttempt } from './stages/failed-attempt.js';
import type { Metering } from './stages/meter.js';
import { MODEL_NAME } from './stages/read-models.js';
import type { Settlement } from './stages/relay.js';

/** Tells breakers, cool-downs and sessions how attempts and calls ended. Nothing of it waits. */
export class CallEnd {
  private readonly reports = new WeakMap<Attempt, AttemptReport>();

  constructor(
    private readonly watch: AttemptWatch,
    private readonly sessions: Pick<SessionStore, 'note' | 'noteAnswerer'>,
  ) {}

  /** Only of calls that the router decided: the others' breakers are told once, at the end. */
  begun(call: Planned, attempt: Attempt): void {
    const { routing, principal } = call;
    const { provider, model } = attempt;
    if (routing === null || model === null) return;
    const ticket = attempt === call.attempt ? routing.ticket : null;
    const report = this.watch.begin(watchedCall(principal, { provider, model }), ticket);
    this.reports.set(attempt, report);
  }

  attemptFailed({ attempt, failure, headers, error }: FailedAttempt): void {
    this.reports.get(attempt)?.ended({ kind: 'failed', failure, headers, error });
  }

  ended(call: Planned, settlement: Settlement, failure: FailureClass | null): void {
    const end = endOf(settlement, failure);
    const report = this.reports.get(settlement.attempt);
    if (report !== undefined) return report.ended(end);
    // Never sent: the trial is somebody else's.
    call.routing?.ticket?.attempt.abandoned();
    if (!settlement.sent) return;
    const { provider, model } = settlement.attempt;
    // A name that a client made up is not kept: it might be anything.
    if (model === null || !call.route.readsBody || !MODEL_NAME.test(model)) return;
    this.watch.observe(watchedCall(call.principal, { provider, model }), end);
  }

  /** Where the session is at now. What was not metered says nothing of its size, and still who answered. */
  noteSession(call: Planned, settlement: Settlement, metering: Metering): void {
    const { routing, principal } = call;
    const { provider, model } = settlement.attempt;
    if (routing === null || model === null) return;
    const { sighting, inputs, decision, size } = routing;
    if (sighting.sessionKey === null || sighting.reading === null) return;
    const { orgId, projectId } = principal;
    const { facts } = sighting.reading;
    const name = { orgId, sessionKey: sighting.sessionKey };
    const target = { provider, model };
    const earlier = earlierAnswers(facts);
    if (metering.kind !== 'reported') {
      if (wasAnswered(settlement)) this.sessions.noteAnswerer(name, target, earlier);
      return;
    }
    const isClientsOwn = decision.decision === 'override' || decision.decision === 'passthrough';
    const { requested } = inputs;
    const before = size.state?.route ?? { provider: requested.provider, model: requested.model };
    this.sessions.note(name, projectId, {
      target,
      route: isClientsOwn ? before : decision.target,
      usage: metering.report.usage,
      cache: cacheRulesOf(provider, model, size.explicit),
      atMs: call.startedAtMs,
      difficulty: difficultyOf(facts),
      control: inputs.control,
      earlier,
    });
  }
}

/** In part at least: what the client has of it, it may bring back. */
function wasAnswered({ status }: Settlement): boolean {
  return status !== null && status < 400;
}

function endOf(settlement: Settlement, failure: FailureClass | null): AttemptEnd {
  if (failure !== null) {
    const { headers, findings } = settlement;
    return { kind: 'failed', failure, headers, error: findings?.error };
  }
  return { kind: settlement.outcome === 'completed' ? 'succeeded' : 'abandoned' };
}
