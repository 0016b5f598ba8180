import type { Queryable } from '../../platform/postgres/queryable.js';
import type { CallRecord } from './call-record.js';
import { RECORD_FIELDS } from './request-log-columns.js';
import { timeOfRequestId } from './request-id-time.js';

/** What reading needs of the database: row security shows one organization's rows. */
export interface TenantReader {
  tenant<T>(orgId: string, work: (q: Queryable) => Promise<T>): Promise<T>;
}

export const RECENT_MAX = 100;
/** Models listed apart in totals, those with most calls; the sums over all models include the rest. */
export const TOTALS_MODELS_MAX = 200;
/** The id's time is the record's; a clock read twice may differ by this much. */
const ID_TIME_SLACK_MS = 1_000;

export interface TotalsQuery {
  readonly projectId?: string;
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
  readonly includeSynthetic: boolean;
}

/** Counts of calls, and sums in nano-USD as decimal strings. What could not be priced is counted, never summed as 0. */
export interface CallTotals {
  readonly calls: number;
  readonly priced: number;
  readonly unmetered: number;
  readonly unpriceable: number;
  readonly estimated: number;
  readonly interrupted: number;
  readonly costNanoUsd: string;
  /** The part of `costNanoUsd` that rests on estimated usage. */
  readonly estimatedCostNanoUsd: string;
  readonly baselineCostNanoUsd: string;
  readonly projectedCostNanoUsd: string;
}

export interface ModelTotals extends CallTotals {
  readonly provider: string;
  /** The model that answered, else the one that was asked for. */
  readonly model: string | null;
}

export interface LogTotals extends CallTotals {
  /** Synthetic calls in the period, whether or not they are included above. */
  readonly synthetic: number;
  readonly models: readonly ModelTotals[];
}

/** Reads `request_log`. */
export class RequestLog {
  constructor(private readonly database: TenantReader) {}

  /**
   * Null where the project (or, with null for it, the organization) has no such request, or the id is none of
   * Shunt's (UUIDv7).
   */
  async find(
    orgId: string,
    projectId: string | null,
    requestId: string,
  ): Promise<CallRecord | null> {
    const timeMs = timeOfRequestId(requestId);
    if (timeMs === null) return null;
    const [row] = await this.database.tenant(orgId, (q) =>
      q.query<CallRecord>(
        `SELECT ${COLUMNS} FROM request_log
          WHERE org_id = $1 AND ($2::uuid IS NULL OR project_id = $2) AND request_id = $3
            AND started_at BETWEEN to_timestamp($4::float8 / 1000) AND to_timestamp($5::float8 / 1000)
          ORDER BY revision DESC LIMIT 1`,
        [orgId, projectId, requestId, timeMs - ID_TIME_SLACK_MS, timeMs + ID_TIME_SLACK_MS],
      ),
    );
    return row ?? null;
  }

  /** Newest first; of all projects where `projectId` is null. `before`: the id of the last request of the page before; ignored where it is none. */
  async recent(
    orgId: string,
    projectId: string | null,
    limit: number,
    before?: string,
  ): Promise<CallRecord[]> {
    const beforeMs = before === undefined ? null : timeOfRequestId(before);
    const older =
      beforeMs === null
        ? ''
        : 'AND (started_at, request_id) < (to_timestamp($4::float8 / 1000), $5::uuid)';
    // Two statements and not one with OR, so that each has its index.
    const ofProject = projectId === null ? 'AND $2::uuid IS NULL' : 'AND project_id = $2';
    return this.database.tenant(orgId, (q) =>
      q.query<CallRecord>(
        `SELECT ${COLUMNS} FROM request_log
          WHERE org_id = $1 ${ofProject} ${older}
          ORDER BY started_at DESC, request_id DESC LIMIT $3`,
        [
          orgId,
          projectId,
          Math.max(1, Math.min(RECENT_MAX, Math.trunc(limit))),
          ...(beforeMs === null ? [] : [beforeMs, before]),
        ],
      ),
    );
  }

  async totals(orgId: string, query: TotalsQuery): Promise<LogTotals> {
    const parameters = [orgId, query.fromMs, query.toMs, query.includeSynthetic];
    if (query.projectId !== undefined) parameters.push(query.projectId);
    const period = `org_id = $1 AND started_at >= to_timestamp($2::float8 / 1000)
      AND started_at < to_timestamp($3::float8 / 1000)
      ${query.projectId === undefined ? '' : 'AND project_id = $5::uuid'}`;
    return this.database.tenant(orgId, async (q) => {
      const [all] = await q.query<TotalsRow>(
        `SELECT ${SUMS('$4::boolean OR NOT synthetic')},
                count(*) FILTER (WHERE synthetic)::float8 AS synthetic
           FROM request_log WHERE ${period}`,
        parameters,
      );
      const models = await q.query<ModelTotals>(
        `SELECT provider, coalesce(served_model, requested_model) AS model, ${SUMS('true')}
           FROM request_log WHERE ${period} AND ($4::boolean OR NOT synthetic)
          GROUP BY 1, 2 ORDER BY calls DESC, provider, model LIMIT ${TOTALS_MODELS_MAX}`,
        parameters,
      );
      // An aggregate without GROUP BY has exactly one row.
      return { ...(all as TotalsRow), models };
    });
  }
}

type TotalsRow = Omit<LogTotals, 'models'>;

/** Counts as float8 and not bigint, which the driver would give as strings: exact up to 2^53. */
const SUMS = (included: string): string => {
  const count = (condition: string, name: string): string =>
    `count(*) FILTER (WHERE (${included}) AND ${condition})::float8 AS "${name}"`;
  const sum = (amount: string, condition: string, name: string): string =>
    `coalesce(sum(${amount}) FILTER (WHERE (${included}) AND ${condition}), 0)::text AS "${name}"`;
  return [
    count('true', 'calls'),
    count(`pricing = 'priced'`, 'priced'),
    count(`metering = 'unmetered'`, 'unmetered'),
    count(`pricing = 'unpriceable'`, 'unpriceable'),
    count(`metering = 'estimated'`, 'estimated'),
    count(`outcome = 'interrupted'`, 'interrupted'),
    sum('cost_nano_usd', 'true', 'costNanoUsd'),
    sum('cost_nano_usd', `metering = 'estimated'`, 'estimatedCostNanoUsd'),
    sum('baseline_cost_nano_usd', 'true', 'baselineCostNanoUsd'),
    sum('projected_cost_nano_usd', 'true', 'projectedCostNanoUsd'),
  ].join(', ');
};

/** What the driver gives as strings (bigint, numeric) is read as float8 where it is a count or a time, and as text where it is money. */
const COLUMNS = (Object.keys(RECORD_FIELDS) as (keyof CallRecord)[])
  .map((field) => {
    if (field === 'started_at_ms') {
      return `round(extract(epoch FROM started_at) * 1000)::float8 AS started_at_ms`;
    }
    if (field.endsWith('_nano_usd')) return `${field}::text`;
    if (field === 'request_bytes' || field === 'response_bytes') return `${field}::float8`;
    return field;
  })
  .join(', ');
