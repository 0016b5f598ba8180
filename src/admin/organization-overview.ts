import { Inject, Injectable } from '@nestjs/common';
import type { SubscriptionStatus } from '../domain/subscription/status.js';
import { newestReport } from '../modules/observation/report.service.js';
import type { Clock } from '../platform/clock.js';
import { Database } from '../platform/postgres/database.js';
import { isUuid } from '../platform/uuid.js';

export const PAGE_MAX = 200;
export const TRAFFIC_HOURS = 24;
const HOUR_MS = 60 * 60_000;

export interface OrganizationsQuery {
  /** A part of the name, whatever its letter case, or the id. */
  readonly search: string;
  readonly status: SubscriptionStatus | null;
  readonly held: boolean | null;
  readonly limit: number;
  /** The id of the last one of the page before. */
  readonly after: string | null;
}

/** One line of the list. Field names are those of the API. */
export interface OrganizationLine {
  readonly id: string;
  readonly name: string;
  readonly status: SubscriptionStatus;
  readonly hold: boolean;
  readonly requests_per_minute: number | null;
  readonly activated_at: Date | null;
  readonly created_at: Date;
}

/** One hour. Sandbox calls are in `synthetic` alone. Amounts in nano-USD, as decimal strings. */
export interface TrafficHour {
  readonly hour: Date;
  readonly calls: number;
  /** Of those: not answered, or answered with an error, by the provider. */
  readonly errors: number;
  /** Of those: turned away by Shunt. */
  readonly refused: number;
  readonly synthetic: number;
  readonly cost_nano_usd: string;
}

const LINE = `id, name, status, routing_hold AS hold, requests_per_minute, activated_at, created_at`;

/** What operators see of organizations. Of what one sends, or whom it consists of, nothing. */
@Injectable()
export class OrganizationOverview {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Newest first; one more than a page tells whether there is a next one. */
  async list(query: OrganizationsQuery): Promise<{ lines: OrganizationLine[]; hasMore: boolean }> {
    const wanted = query.search.trim();
    const lines = await this.database.directory((q) =>
      q.query<OrganizationLine>(
        `SELECT ${LINE} FROM organizations
          WHERE (position(lower($1) IN lower(name)) > 0 OR id = $2::uuid)
            AND ($3::text IS NULL OR status = $3) AND ($4::boolean IS NULL OR routing_hold = $4)
            AND ($5::uuid IS NULL
                 OR (created_at, id) < (SELECT o.created_at, o.id FROM organizations o WHERE o.id = $5))
          ORDER BY created_at DESC, id DESC LIMIT $6`,
        [
          wanted,
          isUuid(wanted) ? wanted : null,
          query.status,
          query.held,
          query.after,
          query.limit + 1,
        ],
      ),
    );
    return { lines: lines.slice(0, query.limit), hasMore: lines.length > query.limit };
  }

  async find(orgId: string): Promise<OrganizationLine | null> {
    const [line] = await this.database.tenant(orgId, (q) =>
      q.query<OrganizationLine>(`SELECT ${LINE} FROM organizations WHERE id = $1`, [orgId]),
    );
    return line ?? null;
  }

  /** The hour under way and those before it, newest first; hours without a call are left out. */
  async traffic(orgId: string, clock: Clock): Promise<TrafficHour[]> {
    const sinceMs = (Math.floor(clock.nowMs() / HOUR_MS) - TRAFFIC_HOURS + 1) * HOUR_MS;
    return this.database.tenant(orgId, (q) =>
      q.query<TrafficHour>(
        `SELECT date_trunc('hour', started_at) AS hour,
                count(*) FILTER (WHERE NOT synthetic)::int AS calls,
                count(*) FILTER (WHERE NOT synthetic AND outcome IN
                  ('upstream_error', 'upstream_failed', 'truncated', 'interrupted'))::int AS errors,
                count(*) FILTER (WHERE NOT synthetic AND outcome = 'refused')::int AS refused,
                count(*) FILTER (WHERE synthetic)::int AS synthetic,
                coalesce(sum(cost_nano_usd) FILTER (WHERE NOT synthetic), 0)::text AS cost_nano_usd
           FROM request_log WHERE org_id = $1 AND started_at >= $2
          GROUP BY 1 ORDER BY 1 DESC LIMIT ${TRAFFIC_HOURS + 1}`,
        [orgId, new Date(sinceMs)],
      ),
    );
  }

  /** What it says of calls and money in all; null where none was made yet. */
  async newestReport(orgId: string) {
    const report = await this.database.tenant(orgId, (q) => newestReport(q, orgId));
    if (report === null) return null;
    const { id, kind, createdAtMs, period, figures } = report;
    return {
      id,
      kind,
      created_at: new Date(createdAtMs),
      from: new Date(period.fromMs),
      to: new Date(period.toMs),
      calls: figures.calls,
      spend_nano_usd: figures.spend_nano_usd,
      projected_savings_nano_usd: figures.projected_savings_nano_usd,
    };
  }

  /** The latest act of this kind, as the trail has it. */
  async lastAct(orgId: string, action: string): Promise<{ seq: number; at: Date } | null> {
    const [entry] = await this.database.tenant(orgId, (q) =>
      q.query<{ seq: number; at: Date }>(
        `SELECT seq::float8 AS seq, at FROM audit_log
          WHERE action LIKE 'subscription.%' AND action = $1 ORDER BY audit_log.seq DESC LIMIT 1`,
        [action],
      ),
    );
    return entry ?? null;
  }
}
