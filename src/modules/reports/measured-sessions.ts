import type { NanoUsd } from '../../domain/money/nano-usd.js';
import {
  measureDifference,
  powerSums,
  type MeasuredDifference,
  type UnknownCosts,
} from '../../domain/savings/measured-difference.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { partsOf } from './report-period.js';

/** No session is one for longer: whether one under way was routable already shows in the calls of so long before. */
const LOOKBACK_MS = 24 * 60 * 60_000;
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
    /** The control share was changed while they lasted, and what was remembered of them is lost. */
    readonly changed_group: number;
  };
  /** Calls and attempts that may have cost something, nobody knows what: at nothing in the means, at their bound in the interval. */
  readonly unknown_costs: {
    readonly control: number;
    readonly routed: number;
    /** What the dearest call of these sessions cost. */
    readonly each_at_most_nano_usd: string;
  };
}

/** A session's calls in one part of the period. */
interface SessionPart {
  readonly session: string;
  /** Some call would have been routed. */
  readonly would: boolean;
  /** Null where the router had no say in any of its calls. */
  readonly control: boolean | null;
  readonly mixed: boolean;
  /** Of all calls, and of those from the first one on that would have been routed. */
  readonly cost: string;
  readonly cost_since: string;
  /** The same, had each call gone to what was asked for. */
  readonly asked: string;
  readonly asked_since: string;
  /** Calls and attempts of unknown cost, likewise. */
  readonly unknown: number;
  readonly unknown_since: number;
  /** What the dearest of its calls cost. */
  readonly dearest: string;
}

interface Session {
  readonly control: boolean;
  isMixed: boolean;
  unknown: number;
  dearest: NanoUsd;
  cost: NanoUsd;
  /** What it had cost at the models that were asked for. */
  asked: NanoUsd;
}

interface Compared {
  readonly measured: MeasuredDifference;
  readonly unknown: UnknownCosts;
}

/**
 * A session counts from its first call on that would have been routed: until then both groups are treated alike, so
 * that which sessions count, and from where, does not depend on the group. One that was under way when the period began
 * is looked at from before it ($5): where its first such call was, its later ones need not be the same in both groups.
 * Failed attempts are a part of the cost. A session stays in its group whatever went wrong in it: what may have cost
 * something, nobody knows what, is counted. A provider's refusal that states no usage cost nothing. An entry's time is the
 * time at which its call began.
 */
const SESSIONS = `
  WITH entries AS (
    SELECT request_id, sum(actual_nano_usd) FILTER (WHERE kind = 'failed_attempt') AS failed,
           sum(baseline_nano_usd) FILTER (WHERE kind = 'routed') AS baseline
      FROM savings_ledger
     WHERE org_id = $1 AND kind IN ('failed_attempt', 'routed') AND at_ms >= $2::float8 AND at_ms < $3::float8
     GROUP BY request_id
  ), calls AS (
    SELECT r.session_key, r.started_at, r.started_at >= to_timestamp($2::float8 / 1000) AS inside,
           CASE WHEN r.pricing = 'priced' OR r.metering = 'not_applicable' THEN 0
                WHEN r.outcome = 'upstream_error' AND r.usage IS NULL THEN 0 ELSE 1 END
             + coalesce((r.routing ->> 'unknownCostAttempts')::int, 0) AS unknown,
           coalesce(r.cost_nano_usd, 0) + coalesce(e.failed, 0) AS cost,
           coalesce(e.baseline, r.cost_nano_usd, 0) AS asked,
           (r.routing -> 'inputs' ->> 'control')::boolean AS control,
           min(r.started_at) FILTER (WHERE jsonb_typeof(r.routing -> 'decision' -> 'wouldRoute') = 'object')
             OVER (PARTITION BY r.session_key) AS since
      FROM request_log r LEFT JOIN entries e USING (request_id)
     WHERE r.org_id = $1 AND r.started_at >= to_timestamp($5::float8 / 1000) AND r.started_at < to_timestamp($3::float8 / 1000)
       AND r.session_key IS NOT NULL AND r.outcome <> 'refused' AND ($4::boolean OR NOT r.synthetic)
  )
  SELECT session_key AS session, since IS NOT NULL AS would, bool_or(control) AS control,
         coalesce(bool_or(control) <> bool_and(control), false) AS mixed,
         trunc(sum(cost) FILTER (WHERE inside))::text AS cost,
         trunc(coalesce(sum(cost) FILTER (WHERE inside AND started_at >= since), 0))::text AS cost_since,
         trunc(sum(asked) FILTER (WHERE inside))::text AS asked,
         trunc(coalesce(sum(asked) FILTER (WHERE inside AND started_at >= since), 0))::text AS asked_since,
         (sum(unknown) FILTER (WHERE inside))::int AS unknown,
         coalesce(sum(unknown) FILTER (WHERE inside AND started_at >= since), 0)::int AS unknown_since,
         trunc(max(cost) FILTER (WHERE inside))::text AS dearest
    FROM calls GROUP BY session_key, since HAVING bool_or(inside)
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
    const lookbackMs = fromMs === period.fromMs ? LOOKBACK_MS : 0;
    const values = [orgId, fromMs, toMs, includeSynthetic, Math.max(fromMs - lookbackMs, 0)];
    const parts = await q.query<SessionPart>(SESSIONS, values);
    for (const part of parts) add(sessions, part);
    if (parts.length > SESSIONS_MAX || sessions.size > SESSIONS_MAX) {
      const none = compared([], []);
      return { ...measuredJson(none, []), no_interval: 'too_many_sessions' };
    }
  }
  const found = [...sessions.values()];
  return measuredJson(compared(groupOf(found, true), groupOf(found, false)), found);
}

function add(sessions: Map<string, Session>, part: SessionPart): void {
  const known = sessions.get(part.session);
  if (known === undefined) {
    if (!part.would || part.control === null) return;
    sessions.set(part.session, {
      control: part.control,
      isMixed: part.mixed,
      unknown: part.unknown_since,
      dearest: BigInt(part.dearest),
      cost: BigInt(part.cost_since),
      asked: BigInt(part.asked_since),
    });
    return;
  }
  known.isMixed ||= part.mixed || (part.control !== null && part.control !== known.control);
  known.unknown += part.unknown;
  known.dearest = larger(known.dearest, BigInt(part.dearest));
  known.cost += BigInt(part.cost);
  known.asked += BigInt(part.asked);
}

/** The sessions of one group. */
function groupOf(sessions: readonly Session[], control: boolean): Session[] {
  return sessions.filter((session) => session.control === control && !session.isMixed);
}

function compared(control: readonly Session[], routed: readonly Session[]): Compared {
  const costs = (group: readonly Session[]): NanoUsd[] => group.map(({ cost }) => cost);
  const unknownOf = (group: readonly Session[]): number =>
    group.reduce((sum, { unknown }) => sum + unknown, 0);
  const dearest = [...control, ...routed].map((session) => session.dearest);
  const unknown: UnknownCosts = {
    control: unknownOf(control),
    routed: unknownOf(routed),
    eachAtMost: dearest.reduce(larger, 0n),
  };
  const measured = measureDifference({
    control: powerSums(costs(control)),
    routed: powerSums(costs(routed)),
    asRequested: powerSums([...costs(control), ...routed.map(({ asked }) => asked)]),
    unknown,
  });
  return { measured, unknown };
}

function larger(one: NanoUsd, other: NanoUsd): NanoUsd {
  return other > one ? other : one;
}

function measuredJson({ measured, unknown }: Compared, sessions: readonly Session[]): MeasuredJson {
  const { interval } = measured;
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
    },
    unknown_costs: {
      control: unknown.control,
      routed: unknown.routed,
      each_at_most_nano_usd: String(unknown.eachAtMost),
    },
  };
}

function groupJson({ sessions, meanNanoUsd }: MeasuredDifference['control']) {
  return { sessions, mean_nano_usd: String(meanNanoUsd) };
}

function textOf(amount: bigint | null): string | null {
  return amount === null ? null : String(amount);
}
