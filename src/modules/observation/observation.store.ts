import {
  OBSERVATION_STEPS,
  type ObservationStep,
  type ObservationWindow,
  type StepRecord,
} from '../../domain/observation/funnel.js';
import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

export interface StoredStep extends StepRecord {
  readonly dueAtMs: number;
  readonly reportId: string | null;
}

export type StoredSteps = Readonly<Partial<Record<ObservationStep, StoredStep>>>;

/** Where an organization stands in its funnel. */
export interface Observation {
  readonly window: ObservationWindow;
  readonly status: SubscriptionStatus;
  readonly steps: StoredSteps;
}

const epochMs = (column: string): string => `round(extract(epoch FROM ${column}) * 1000)::float8`;

/** Keeps a status, and the funnel that depends on it, from changing until the transaction ends. False: there is no such organization. */
export async function lockFunnel(q: Queryable, orgId: string): Promise<boolean> {
  const rows = await q.query('SELECT id FROM organizations WHERE id = $1 FOR NO KEY UPDATE', [
    orgId,
  ]);
  return rows.length > 0;
}

/** Null before the first forwarded call was seen. */
export async function readObservation(q: Queryable, orgId: string): Promise<Observation | null> {
  const [row] = await q.query<ObservationWindow & { readonly status: SubscriptionStatus }>(
    `SELECT ${epochMs('b.started_at')} AS "startedAtMs", ${epochMs('b.ends_at')} AS "endsAtMs",
            o.activated_at IS NOT NULL AS "hasDecided", o.status
       FROM observations b JOIN organizations o ON o.id = b.org_id WHERE b.org_id = $1`,
    [orgId],
  );
  if (!row) return null;
  const steps = await q.query<StoredStep & { readonly step: ObservationStep }>(
    `SELECT step, outcome, ${epochMs('due_at')} AS "dueAtMs", ${epochMs('at')} AS "atMs", report_id AS "reportId"
       FROM observation_steps WHERE org_id = $1 LIMIT ${OBSERVATION_STEPS.length}`,
    [orgId],
  );
  const { status, ...window } = row;
  return {
    window,
    status,
    steps: Object.fromEntries(steps.map(({ step, ...stored }) => [step, stored])),
  };
}

/** False where the organization is observed already. */
export async function insertObservation(
  q: Queryable,
  orgId: string,
  { startedAtMs, endsAtMs }: ObservationWindow,
  nextDueAtMs: number | null,
): Promise<boolean> {
  const rows = await q.query(
    `INSERT INTO observations (org_id, started_at, ends_at, next_due_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (org_id) DO NOTHING RETURNING org_id`,
    [orgId, new Date(startedAtMs), new Date(endsAtMs), dateOrNull(nextDueAtMs)],
  );
  return rows.length > 0;
}

/** False where the step is over already. */
export async function insertStep(
  q: Queryable,
  orgId: string,
  step: ObservationStep,
  { dueAtMs, outcome, atMs, reportId }: StoredStep,
): Promise<boolean> {
  const rows = await q.query(
    `INSERT INTO observation_steps (org_id, step, due_at, outcome, at, report_id) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (org_id, step) DO NOTHING RETURNING step`,
    [orgId, step, new Date(dueAtMs), outcome, new Date(atMs), reportId],
  );
  return rows.length > 0;
}

export async function saveWindow(
  q: Queryable,
  orgId: string,
  endsAtMs: number,
  nextDueAtMs: number | null,
): Promise<void> {
  await q.query('UPDATE observations SET ends_at = $2, next_due_at = $3 WHERE org_id = $1', [
    orgId,
    new Date(endsAtMs),
    dateOrNull(nextDueAtMs),
  ]);
}

function dateOrNull(atMs: number | null): Date | null {
  return atMs === null ? null : new Date(atMs);
}
