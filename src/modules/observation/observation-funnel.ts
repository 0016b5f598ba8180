import {
  OBSERVATION_STEPS,
  dueAtMs,
  dueSteps,
  nextDueAtMs,
  staleAtMs,
  windowFrom,
  type ObservationStep,
  type ObservationWindow,
  type StepVerdict,
} from '../../domain/observation/funnel.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { isAway } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { NIL_UUID } from '../../platform/uuid.js';
import { auditWithin } from '../audit/audit-trail.js';
import { mailOwnersWithin, type MailKind } from '../mail/outbox.js';
import type { SubscriptionService } from '../subscriptions/subscription.service.js';
import {
  insertObservation,
  insertStep,
  lockFunnel,
  readObservation,
  saveWindow,
  type Observation,
} from './observation.store.js';
import { computeReport } from './report-figures.js';
import { insertReport, newestReport, reportOf } from './report.service.js';
import { mailDataOf, type Report, type ReportKind } from './report.js';

const JOB = { kind: 'job', name: 'observation' } as const satisfies Actor;
/** Organizations that one run looks at for a first call; the next run goes on behind them. */
const CANDIDATES_PER_RUN = 500;
const PAGE = 100;
/** Organizations that one run takes steps for; those that waited longest come first. */
const PAGES_PER_RUN = 20;

/** What a step mails, and the report that it makes. */
const STEPS: Readonly<
  Record<ObservationStep, { readonly mail: MailKind | null; readonly report: ReportKind | null }>
> = {
  interim_report: { mail: 'interim_report', report: 'interim' },
  reminder_three_days: { mail: 'reminder_three_days', report: null },
  reminder_one_day: { mail: 'reminder_one_day', report: null },
  conversion_report: { mail: 'conversion_report', report: 'conversion' },
  // The door that it goes through tells of the new status itself.
  close_window: { mail: null, report: null },
  reminder_after_end: { mail: 'reminder_after_end', report: null },
};

export interface FunnelRun {
  readonly started: number;
  readonly steps: number;
}

/** Some organizations' steps failed; the others' were taken. The next run tries again. */
export class FunnelIncomplete extends Error {
  override readonly name = 'FunnelIncomplete';
}

interface Decision {
  readonly window: ObservationWindow;
  readonly step: ObservationStep;
  readonly verdict: Exclude<StepVerdict, { kind: 'wait' }>;
}

/**
 * Takes every organization from its first call to its decision. A run may end anywhere, and any number may run at
 * once: each start and each step is one transaction, whose first write is a row that there can be only one of.
 */
export class ObservationFunnel {
  #candidatesFrom = NIL_UUID;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly subscriptions: SubscriptionService,
    private readonly logger: Logger,
  ) {}

  async runDue(signal?: AbortSignal): Promise<FunnelRun> {
    const failures: unknown[] = [];
    const attempt = async (orgId: string, work: () => Promise<number>): Promise<number> => {
      try {
        return await work();
      } catch (error) {
        if (isAway(error)) throw error;
        failures.push(error);
        this.logger.warn({ err: error, orgId }, 'the observation of an organization failed');
        return 0;
      }
    };
    const started = await this.#startNew(attempt, signal);
    const steps = await this.#takeSteps(attempt, signal);
    if (failures.length > 0) throw new FunnelIncomplete(`${failures.length} organizations failed`);
    return { started, steps };
  }

  async #startNew(attempt: Attempt, signal?: AbortSignal): Promise<number> {
    const candidates = await this.database.query<{ orgId: string }>(
      'SELECT o AS "orgId" FROM organizations_to_observe($1, $2) AS o',
      [this.#candidatesFrom, CANDIDATES_PER_RUN],
    );
    const ids = candidates.map(({ orgId }) => orgId);
    const first = ids.length === 0 ? [] : await this.#firstCallsOfMany(ids);
    let started = 0;
    // Where one of them takes too long to read, each is asked for itself.
    for (const orgId of first === null ? ids : []) {
      if (signal?.aborted) return started;
      started += await attempt(orgId, async () => {
        const [call] = await this.#firstCalls([orgId]);
        return call === undefined ? 0 : this.#start(orgId, call.atMs);
      });
    }
    for (const { orgId, atMs } of first ?? []) {
      if (signal?.aborted) return started;
      started += await attempt(orgId, () => this.#start(orgId, atMs));
    }
    // Only now: those that a failed run did not come to are looked at again.
    this.#candidatesFrom = ids.length < CANDIDATES_PER_RUN ? NIL_UUID : (ids.at(-1) ?? NIL_UUID);
    return started;
  }

  /** Null where they cannot be read together, whoever of them it is. */
  async #firstCallsOfMany(
    ids: readonly string[],
  ): Promise<{ orgId: string; atMs: number }[] | null> {
    try {
      return await this.#firstCalls(ids);
    } catch (error) {
      if (isAway(error)) throw error;
      return null;
    }
  }

  /** In a transaction, which the function scopes to one organization after the other. */
  #firstCalls(ids: readonly string[]): Promise<{ orgId: string; atMs: number }[]> {
    return this.database.transaction((q) =>
      q.query(
        `SELECT org_id AS "orgId", round(extract(epoch FROM started_at) * 1000)::float8 AS "atMs"
           FROM first_forwarded_calls($1::uuid[])`,
        [ids],
      ),
    );
  }

  async #start(orgId: string, firstCallAtMs: number): Promise<number> {
    const nowMs = this.clock.nowMs();
    const window = windowFrom(firstCallAtMs);
    return this.database.tenant(orgId, async (q) => {
      const [organization] = await q.query<{ starts: boolean }>(
        `SELECT status = 'observing' AND activated_at IS NULL AS starts
           FROM organizations WHERE id = $1 FOR NO KEY UPDATE`,
        [orgId],
      );
      if (!organization?.starts) return 0;
      if (!(await insertObservation(q, orgId, window, nextDueAtMs(window, {})))) return 0;
      const times = {
        started_at: new Date(window.startedAtMs).toISOString(),
        ends_at: new Date(window.endsAtMs).toISOString(),
      };
      const action = 'observation.started';
      await auditWithin(q, orgId, { actor: JOB, action, atMs: nowMs, details: times });
      // Where the product was away for so long, the next report says more.
      if (nowMs < dueAtMs('interim_report', window)) {
        await mailOwnersWithin(q, orgId, {
          kind: 'observation_started',
          dedupeKey: 'observation:started',
          atMs: nowMs,
          data: times,
        });
      }
      return 1;
    });
  }

  async #takeSteps(attempt: Attempt, signal?: AbortSignal): Promise<number> {
    const asOf = new Date(this.clock.nowMs());
    let after = { dueAt: '-infinity', orgId: NIL_UUID };
    let taken = 0;
    for (let page = 0; page < PAGES_PER_RUN; page += 1) {
      const due = await this.database.query<{ orgId: string; dueAt: string }>(
        `SELECT org_id AS "orgId", due_at::text AS "dueAt"
           FROM organizations_with_due_steps($1, $2::timestamptz, $3, $4)`,
        [asOf, after.dueAt, after.orgId, PAGE],
      );
      for (const { orgId } of due) {
        if (signal?.aborted) return taken;
        taken += await attempt(orgId, () => this.#takeStepsOf(orgId));
      }
      const last = due.at(-1);
      if (last === undefined || due.length < PAGE) return taken;
      after = last;
    }
    return taken;
  }

  async #takeStepsOf(orgId: string): Promise<number> {
    let taken = 0;
    while (taken <= OBSERVATION_STEPS.length && (await this.#takeStep(orgId))) taken += 1;
    return taken;
  }

  /** False where nothing is due. The report is added up before the status is locked: nobody waits for that. */
  async #takeStep(orgId: string): Promise<boolean> {
    const nowMs = this.clock.nowMs();
    return this.database.tenant(orgId, async (q) => {
      const seen = decide(await readObservation(q, orgId), nowMs);
      const report = seen === null ? null : await reportFor(q, orgId, seen, nowMs);
      await lockFunnel(q, orgId);
      const observation = await readObservation(q, orgId);
      const decision = decide(observation, nowMs);
      if (observation === null) return false;
      if (decision === null) {
        const { window, steps } = observation;
        await saveWindow(q, orgId, window.endsAtMs, nextDueAtMs(window, steps));
        return false;
      }
      // Another run, or a person, was faster: what was found is not what was prepared for.
      if (!isSame(decision, seen)) return true;
      await this.#settle(q, orgId, observation, decision, report, nowMs);
      return true;
    });
  }

  async #settle(
    q: Queryable,
    orgId: string,
    { window, steps }: Observation,
    { step, verdict }: Decision,
    report: Report | null,
    nowMs: number,
  ): Promise<void> {
    const record = {
      outcome: verdict.kind === 'run' ? 'done' : 'skipped',
      atMs: nowMs,
      dueAtMs: dueAtMs(step, window, steps),
      reportId: report?.id ?? null,
    } as const;
    if (!(await insertStep(q, orgId, step, record))) return;
    await saveWindow(q, orgId, window.endsAtMs, nextDueAtMs(window, { ...steps, [step]: record }));
    if (verdict.kind === 'run') {
      // Before any entry of the trail, whose head everybody else locks after the status.
      if (step === 'close_window') await this.#close(q, orgId);
      if (report !== null) await insertReport(q, orgId, report, JOB);
      await mail(q, orgId, step, window, report, nowMs);
    }
    await auditWithin(q, orgId, {
      actor: JOB,
      action: 'observation.step_done',
      atMs: nowMs,
      subject: step,
      newValue: record.outcome,
      details: {
        due_at: new Date(record.dueAtMs).toISOString(),
        ...(verdict.kind === 'skip' ? { because: verdict.reason } : {}),
        ...(report === null ? {} : { report_id: report.id }),
      },
    });
  }

  async #close(q: Queryable, orgId: string): Promise<void> {
    const applied = await this.subscriptions.applyWithin(q, orgId, {
      event: 'close_window',
      actor: JOB,
    });
    if (applied.kind === 'refused' || applied.kind === 'not_found') {
      throw new Error(`The window could not be closed: ${applied.kind}`);
    }
  }
}

type Attempt = (orgId: string, work: () => Promise<number>) => Promise<number>;

/** The first step that is to be run or marked; null where all wait. */
function decide(observation: Observation | null, nowMs: number): Decision | null {
  if (observation === null || observation.status === 'suspended') return null;
  for (const [step, verdict] of dueSteps(observation.window, observation.steps, nowMs)) {
    if (verdict.kind !== 'wait') return { window: observation.window, step, verdict };
  }
  return null;
}

function isSame(a: Decision, b: Decision | null): boolean {
  if (b === null || a.window.endsAtMs !== b.window.endsAtMs) return false;
  return a.step === b.step && a.verdict.kind === b.verdict.kind;
}

/** Of what the step's name says, however late it is made. */
async function reportFor(
  q: Queryable,
  orgId: string,
  { window, step, verdict }: Decision,
  nowMs: number,
): Promise<Report | null> {
  const { report: kind } = STEPS[step];
  if (kind === null || verdict.kind !== 'run') return null;
  const period = { fromMs: window.startedAtMs, toMs: dueAtMs(step, window) };
  return reportOf(kind, period, await computeReport(q, orgId, period), nowMs);
}

/** A reminder shows the figures of the newest report. None is worth reading once the next thing is due. */
async function mail(
  q: Queryable,
  orgId: string,
  step: ObservationStep,
  window: ObservationWindow,
  made: Report | null,
  nowMs: number,
): Promise<void> {
  const { mail: kind } = STEPS[step];
  if (kind === null) return;
  const report = made ?? (await newestReport(q, orgId));
  const staleMs = staleAtMs(step, window, dueAtMs(step, window));
  await mailOwnersWithin(q, orgId, {
    kind,
    dedupeKey: `observation:${step}`,
    atMs: nowMs,
    ...(staleMs > nowMs && Number.isFinite(staleMs) ? { expiresAtMs: staleMs } : {}),
    data: {
      ...(report === null ? {} : mailDataOf(report)),
      ends_at: new Date(window.endsAtMs).toISOString(),
    },
  });
}
