import { EXCLUSIONS } from '../../domain/savings/ledger-entry.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { partsOf } from './report-period.js';
import type { CallCounts } from './savings-report.js';

/**
 * Why a call has no `routed` entry: as the gateway said when it ended. A call that the router had no say in, or that
 * never ended, has no such word: there what the router did not decide comes first, since such a call has no entry
 * however well it was metered.
 */
const REASON = `CASE
  WHEN r.synthetic AND NOT $4 THEN 'synthetic'
  WHEN r.outcome = 'refused' THEN 'refused'
  WHEN EXISTS (SELECT FROM savings_ledger l
                WHERE l.org_id = r.org_id AND l.request_id = r.request_id AND l.kind = 'routed') THEN 'routed'
  WHEN r.routing ->> 'excluded' IS NOT NULL THEN r.routing ->> 'excluded'
  WHEN r.decision IN ('passthrough', 'override', 'control', 'abstain') THEN r.decision
  WHEN r.metering = 'estimated' THEN 'estimated'
  WHEN r.metering = 'unmetered' THEN 'unmetered'
  WHEN r.metering = 'not_applicable' OR r.outcome NOT IN ('completed', 'client_aborted') THEN 'failed'
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
