import {
  NO_SESSIONS,
  measureDifference,
  powerSums,
  type MeasuredDifference,
  type PowerSums,
} from '../../domain/savings/measured-difference.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { partsOf } from './period-parts.js';

/** Sessions that are kept in memory at once; beyond it nothing is measured, and that is said. */
const SESSIONS_MAX = 200_000;

/** `MeasuredDifference` in JSON: amounts are decimal strings of nano-USD per session. */
export interface MeasuredJson {
  readonly method: string;
  readonly control: { readonly sessions: number; readonly mean_nano_usd: string };
  readonly routed: { readonly sessions: number; readonly mean_nano_usd: string };
  readonly difference_nano_usd: string | null;
  readonly interval_95: { readonly low_nano_usd: string; readonly high_nano_usd: string } | null;
  readonly no_interval: MeasuredDifference['noInterval'] | 'too_many_sessions';
  readonly smallest_effect_nano_usd: string | null;
  readonly unreliable: readonly string[];
  /** Sessions that would have been routed and are in neither group. */
  readonly left_out: {
    /** The control share was changed while they lasted. */
    readonly changed_group: number;
    /** A call of theirs has no cost. */
    readonly not_priced_control: number;
    readonly not_priced_routed: number;
  };
}

/** A session's calls in one part of the period. */
interface SessionPart {
  readonly session: string;
  /** Some call would have been routed. */
  readonly would: boolean;
  readonly control: boolean;
  readonly mixed: boolean;
  /** Of all calls, and of those from the first one on that would have been routed. */
  readonly cost: string;
  readonly cost_since: string;
  readonly unpriced: boolean;
  readonly unpriced_since: boolean;
}

interface Session {
  readonly control: boolean;
  isMixed: boolean;
  isUnpriced: boolean;
  cost: bigint;
}

/**
 * A session counts from its first call on that would have been routed: until then both groups are treated alike, so
 * that which sessions count, and from where, does not depend on the group. Failed attempts are a part of the cost.
 */
const SESSIONS = `
  WITH failed AS (
    SELECT request_id, sum(actual_nano_usd) AS cost FROM savings_ledger
     WHERE org_id = $1 AND kind = 'failed_attempt' AND at_ms >= $2::float8 AND at_ms < $3::float8 + 86400000
     GROUP BY request_id
  ), calls AS (
    SELECT r.session_key, r.started_at, r.pricing = 'priced' OR r.metering = 'not_applicable' AS known,
           coalesce(r.cost_nano_usd, 0) + coalesce(f.cost, 0) AS cost,
           (r.routing -> 'inputs' ->> 'control')::boolean AS control,
           min(r.started_at) FILTER (WHERE jsonb_typeof(r.routing -> 'decision' -> 'wouldRoute') = 'object')
             OVER (PARTITION BY r.session_key) AS since
      FROM request_log r LEFT JOIN failed f USING (request_id)
     WHERE r.org_id = $1 AND r.started_at >= to_timestamp($2::float8 / 1000) AND r.started_at < to_timestamp($3::float8 / 1000)
       AND r.session_key IS NOT NULL AND r.outcome <> 'refused' AND ($4::boolean OR NOT r.synthetic)
  )
  SELECT session_key AS session, since IS NOT NULL AS would, coalesce(bool_or(control), false) AS control,
         coalesce(bool_or(control) <> bool_and(control), false) AS mixed,
         trunc(sum(cost))::text AS cost,
         trunc(coalesce(sum(cost) FILTER (WHERE started_at >= since), 0))::text AS cost_since,
         bool_or(NOT known) AS unpriced,
         coalesce(bool_or(NOT known) FILTER (WHERE started_at >= since), false) AS unpriced_since
    FROM calls GROUP BY session_key, since
   LIMIT ${SESSIONS_MAX + 1}`;

/** The measured difference of a period, in a transaction that is scoped to the organization. */
export async function measureSessions(
  q: Queryable,
  orgId: string,
  period: ReportPeriod,
  includeSynthetic: boolean,
): Promise<MeasuredJson> {
  const sessions = new Map<string, Session>();
  for (const { fromMs, toMs } of partsOf(period)) {
    const parts = await q.query<SessionPart>(SESSIONS, [orgId, fromMs, toMs, includeSynthetic]);
    for (const part of parts) add(sessions, part);
    if (parts.length > SESSIONS_MAX || sessions.size > SESSIONS_MAX) {
      const none = measureDifference(NO_SESSIONS, NO_SESSIONS);
      return { ...measuredJson(none, []), no_interval: 'too_many_sessions' };
    }
  }
  const found = [...sessions.values()];
  const measured = measureDifference(groupOf(found, true), groupOf(found, false));
  return measuredJson(measured, found);
}

function add(sessions: Map<string, Session>, part: SessionPart): void {
  const known = sessions.get(part.session);
  if (known === undefined) {
    if (!part.would) return;
    sessions.set(part.session, {
      control: part.control,
      isMixed: part.mixed,
      isUnpriced: part.unpriced_since,
      cost: BigInt(part.cost_since),
    });
    return;
  }
  // A later part without any decision says nothing of the group.
  known.isMixed ||= part.mixed || (part.would && part.control !== known.control);
  known.isUnpriced ||= part.unpriced;
  known.cost += BigInt(part.cost);
}

function groupOf(sessions: readonly Session[], control: boolean): PowerSums {
  const own = sessions.filter(
    (session) => session.control === control && !session.isMixed && !session.isUnpriced,
  );
  return powerSums(own.map(({ cost }) => cost));
}

function measuredJson(measured: MeasuredDifference, sessions: readonly Session[]): MeasuredJson {
  const { interval } = measured;
  const unpriced = (control: boolean): number =>
    sessions.filter((s) => !s.isMixed && s.isUnpriced && s.control === control).length;
  return {
    method: measured.method,
    control: groupJson(measured.control),
    routed: groupJson(measured.routed),
    difference_nano_usd: textOf(measured.differenceNanoUsd),
    interval_95: interval && {
      low_nano_usd: String(interval.lowNanoUsd),
      high_nano_usd: String(interval.highNanoUsd),
    },
    no_interval: measured.noInterval,
    smallest_effect_nano_usd: textOf(measured.smallestEffectNanoUsd),
    unreliable: measured.unreliable,
    left_out: {
      changed_group: sessions.filter(({ isMixed }) => isMixed).length,
      not_priced_control: unpriced(true),
      not_priced_routed: unpriced(false),
    },
  };
}

function groupJson({ sessions, meanNanoUsd }: MeasuredDifference['control']) {
  return { sessions, mean_nano_usd: String(meanNanoUsd) };
}

function textOf(amount: bigint | null): string | null {
  return amount === null ? null : String(amount);
}
