import { randomUUID } from 'node:crypto';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { isUuid } from '../../platform/uuid.js';
import { auditWithin } from '../audit/audit-trail.js';
import { computeReport, type ComputedReport } from './report-figures.js';
import { includesSynthetic, type Report, type ReportKind, type ReportPeriod } from './report.js';

export type CreatedReport =
  | { readonly kind: 'created'; readonly report: Report }
  /** Another was made, or is being made, less than a minute ago. */
  | { readonly kind: 'too_soon'; readonly retryAfterSeconds: number }
  | { readonly kind: 'not_found' };

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** A report on demand reaches back to the start of the observation, but not further than this. */
const PERIOD_MS_MAX = 92 * DAY_MS;
export const REPORTS_PAGE_MAX = 100;

const SELECTED = `id, kind, round(extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs",
  jsonb_build_object('fromMs', round(extract(epoch FROM period_from) * 1000),
                     'toMs', round(extract(epoch FROM period_to) * 1000)) AS period,
  figures, price_versions AS "priceVersions"`;

/** What an organization's calls cost and would have cost, kept as it was shown. */
export class ReportService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** On demand: from the start of the observation until now. At most one a minute, because it reads every call. */
  async create(orgId: string, actor: Actor, includeSynthetic = false): Promise<CreatedReport> {
    const nowMs = this.clock.nowMs();
    return this.database.tenant(orgId, async (q) => {
      const [lock] = await q.query<{ free: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('shunt.report:' || $1, 0)) AS free`,
        [orgId],
      );
      if (!lock?.free) return { kind: 'too_soon', retryAfterSeconds: MINUTE_MS / 1000 };
      const [found] = await q.query<{ sinceMs: number; lastMs: number | null }>(
        `SELECT extract(epoch FROM coalesce(b.started_at, o.created_at))::float8 * 1000 AS "sinceMs",
                (SELECT extract(epoch FROM max(created_at))::float8 * 1000 FROM reports
                  WHERE org_id = o.id AND kind = 'on_demand') AS "lastMs"
           FROM organizations o LEFT JOIN observations b ON b.org_id = o.id WHERE o.id = $1`,
        [orgId],
      );
      if (!found) return { kind: 'not_found' };
      const waitMs = (found.lastMs ?? -Infinity) + MINUTE_MS - nowMs;
      if (waitMs > 0) return { kind: 'too_soon', retryAfterSeconds: Math.ceil(waitMs / 1000) };
      const sinceMs = Math.max(Math.floor(found.sinceMs), nowMs - PERIOD_MS_MAX);
      const period = { fromMs: Math.min(sinceMs, nowMs), toMs: nowMs };
      const computed = await computeReport(q, orgId, period, includeSynthetic);
      const report = reportOf('on_demand', period, computed, nowMs);
      await insertReport(q, orgId, report, actor);
      return { kind: 'created', report };
    });
  }

  /** Newest first; at most `REPORTS_PAGE_MAX`. */
  async list(orgId: string): Promise<Report[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<Report>(
        `SELECT ${SELECTED} FROM reports WHERE org_id = $1
          ORDER BY created_at DESC, reports.id DESC LIMIT ${REPORTS_PAGE_MAX}`,
        [orgId],
      ),
    );
  }

  /** Null where the organization has no such report. */
  async find(orgId: string, id: string): Promise<Report | null> {
    if (!isUuid(id)) return null;
    const [row] = await this.database.tenant(orgId, (q) =>
      q.query<Report>(`SELECT ${SELECTED} FROM reports WHERE org_id = $1 AND id = $2`, [orgId, id]),
    );
    return row ?? null;
  }
}

/** In a transaction that is scoped to the organization; null where there is none. None that counts the sandbox. */
export async function newestReport(q: Queryable, orgId: string): Promise<Report | null> {
  const [row] = await q.query<Report>(
    `SELECT ${SELECTED} FROM reports
      WHERE org_id = $1 AND figures ->> 'synthetic_included' IS DISTINCT FROM 'true'
      ORDER BY created_at DESC, reports.id DESC LIMIT 1`,
    [orgId],
  );
  return row ?? null;
}

export function reportOf(
  kind: ReportKind,
  period: ReportPeriod,
  computed: ComputedReport,
  createdAtMs: number,
): Report {
  return { id: randomUUID(), kind, createdAtMs, period, ...computed };
}

/** With its audit entry, as a part of a transaction that is scoped to the organization. */
export async function insertReport(
  q: Queryable,
  orgId: string,
  { id, kind, createdAtMs, period, figures, priceVersions }: Report,
  actor: Actor,
): Promise<void> {
  await q.query(
    `INSERT INTO reports (org_id, id, kind, created_at, period_from, period_to, figures, price_versions)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      orgId,
      id,
      kind,
      new Date(createdAtMs),
      new Date(period.fromMs),
      new Date(period.toMs),
      JSON.stringify(figures),
      priceVersions,
    ],
  );
  await auditWithin(q, orgId, {
    actor,
    action: 'report.created',
    atMs: createdAtMs,
    subject: id,
    details: { kind, ...(includesSynthetic(figures) ? { include_synthetic: true } : {}) },
  });
}
