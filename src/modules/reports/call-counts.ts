import { EXCLUSIONS } from '../../domain/savings/ledger-entry.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { partsOf } from './period-parts.js';
import type { CallCounts } from './savings-report.js';

/** What the router had decided, where the call's decision is a fallback of it. */
const DECIDED = `r.routing #>> '{decision,decision}'`;
/** Served as it was asked for, by a router that may send it elsewhere: back from a route, or not worth it. */
const STAYED = `(r.routing #> '{decision,target}') = jsonb_build_object(
  'provider', r.routing #> '{inputs,requested,provider}', 'model', r.routing #> '{inputs,requested,model}')`;

/**
 * Why a call has no `routed` entry: the first that holds. What the router did not decide comes first, since such a call
 * has none however well it was metered. A routed call that ended at the model it was asked for has failed as one; one
 * whose baseline has no price counts as unpriceable.
 */
const REASON = `CASE
  WHEN r.synthetic AND NOT $4 THEN 'synthetic'
  WHEN r.outcome = 'refused' THEN 'refused'
  WHEN EXISTS (SELECT FROM savings_ledger l
                WHERE l.org_id = r.org_id AND l.request_id = r.request_id AND l.kind = 'routed') THEN 'routed'
  WHEN r.decision IN ('passthrough', 'override', 'control', 'abstain') THEN r.decision
  WHEN r.decision = 'fallback' AND ${DECIDED} NOT IN ('classifier', 'session') THEN ${DECIDED}
  WHEN r.decision IN ('classifier', 'session') AND ${STAYED} THEN 'abstain'
  WHEN r.metering = 'estimated' THEN 'estimated'
  WHEN r.metering = 'unmetered' THEN 'unmetered'
  WHEN r.metering = 'not_applicable' OR r.outcome NOT IN ('completed', 'client_aborted') THEN 'failed'
  WHEN r.decision = 'fallback' AND r.pricing = 'priced' THEN 'failed'
  ELSE 'unpriceable' END`;

const COUNTS = `
  SELECT ${REASON} AS reason, count(*)::float8 AS calls
    FROM request_log r
   WHERE r.org_id = $1 AND r.started_at >= to_timestamp($2::float8 / 1000) AND r.started_at < to_timestamp($3::float8 / 1000)
   GROUP BY 1`;

const NAMES = ['routed', ...EXCLUSIONS, 'refused', 'synthetic'] as const;

/** Every call of the period, counted once. Synthetic ones apart, unless they are to count like any other. */
export async function countCalls(
  q: Queryable,
  orgId: string,
  period: ReportPeriod,
  includeSynthetic: boolean,
): Promise<CallCounts> {
  const counts = Object.fromEntries(NAMES.map((name) => [name, 0])) as Record<
    keyof CallCounts,
    number
  >;
  for (const { fromMs, toMs } of partsOf(period)) {
    const rows = await q.query<{ reason: keyof CallCounts; calls: number }>(COUNTS, [
      orgId,
      fromMs,
      toMs,
      includeSynthetic,
    ]);
    for (const { reason, calls } of rows) counts[reason] += calls;
  }
  return counts;
}
