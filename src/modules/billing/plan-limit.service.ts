import { planLimits, type PlanLimit } from '../../domain/billing/plan-limits.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { mailOwnersWithin } from '../mail/outbox.js';
import { currentSubscription } from './billing-snapshot.js';

/** Calls of a month are counted up to twice what the plan includes, and never beyond: a warning needs no more. */
const COUNTED_MAX = 10_000_000;
/** Where the plan includes any number. */
const COUNTED_UNLIMITED_MAX = 100_000;
const PAGE_MAX = 1_000;
const PAGES_MAX = 1_000;

/**
 * Compares what an organization uses with what its plan includes, and says so. It has no way to refuse anything: no
 * other part of the product asks it.
 */
export class PlanLimitService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** None where there is no subscription, or it has ended. */
  async limitsWithin(q: Queryable, orgId: string): Promise<PlanLimit[]> {
    const subscription = await currentSubscription(q, orgId);
    if (subscription === null || subscription.status === 'canceled') return [];
    const { figures } = subscription;
    const included = figures.requestsPerMonth;
    const wanted = included === null ? COUNTED_UNLIMITED_MAX : included * 2 + 1;
    const countedMax = Math.max(Math.min(wanted, COUNTED_MAX), (included ?? 0) + 1);
    const [use] = await q.query<{ seats: number; retentionDays: number; requests: number }>(
      `SELECT (SELECT count(*) FROM memberships WHERE org_id = $1)::int AS seats,
              substr(retention_class, 2)::int AS "retentionDays",
              (SELECT count(*) FROM (SELECT FROM request_log
                WHERE org_id = $1 AND started_at >= $2 AND NOT synthetic LIMIT $3) AS calls)::int AS requests
         FROM organizations WHERE id = $1`,
      [orgId, new Date(`${this.#month()}-01T00:00:00Z`), countedMax],
    );
    if (use === undefined) return [];
    const { seats, retentionDays, requests } = use;
    return planLimits(figures, { seats, retentionDays, requestsThisMonth: requests });
  }

  /** Tells the owners of every limit that was passed, once in a calendar month (UTC) each. */
  async warnAll(): Promise<void> {
    let after: string | null = null;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const ids = await this.#organizationsAfter(after);
      for (const id of ids) await this.warn(id);
      after = ids.at(-1) ?? null;
      if (after === null) return;
    }
  }

  async #organizationsAfter(after: string | null): Promise<string[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ id: string }>(
        `SELECT id FROM organizations WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT ${PAGE_MAX}`,
        [after],
      ),
    );
    return rows.map(({ id }) => id);
  }

  async warn(orgId: string): Promise<void> {
    await this.database.tenant(orgId, async (q) => {
      const limits = await this.limitsWithin(q, orgId);
      for (const { limit, included, used } of limits.filter(({ exceeded }) => exceeded)) {
        await mailOwnersWithin(q, orgId, {
          kind: 'plan_limit_reached',
          dedupeKey: `plan_limit:${limit}:${this.#month()}`,
          atMs: this.clock.nowMs(),
          data: { limit, included, used, month: this.#month() },
        });
      }
    });
  }

  #month(): string {
    return new Date(this.clock.nowMs()).toISOString().slice(0, 7);
  }
}
