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
/** So many take long to count: the figure is kept for a while, however often somebody looks at it. */
const KEPT_MIN = 100_000;
const KEPT_MS = 10 * 60_000;
const KEPT_MAX = 1_000;
const PAGE_MAX = 1_000;
const PAGES_MAX = 1_000;
/** So many do not fail for reasons of their own: the next night tries again. */
const FAILED_MAX = 100;

interface Counted {
  readonly month: string;
  readonly countedMax: number;
  readonly requests: number;
  readonly atMs: number;
}

/**
 * Compares what an organization uses with what its plan includes, and says so. It has no way to refuse anything: no
 * other part of the product asks it.
 */
export class PlanLimitService {
  readonly #kept = new Map<string, Counted>();

  constructor(
    private readonly database: Database,
    /** For counting, which may be slow. */
    private readonly readings: Database,
    private readonly clock: Clock,
  ) {}

  /** None where there is no subscription, or it has ended. */
  async limitsOf(orgId: string): Promise<PlanLimit[]> {
    return this.readings.tenant(orgId, (q) => this.#limitsWithin(q, orgId));
  }

  async #limitsWithin(q: Queryable, orgId: string): Promise<PlanLimit[]> {
    const subscription = await currentSubscription(q, orgId);
    if (subscription === null || subscription.status === 'canceled') return [];
    const { figures } = subscription;
    const included = figures.requestsPerMonth;
    const wanted = included === null ? COUNTED_UNLIMITED_MAX : included * 2 + 1;
    const countedMax = Math.max(Math.min(wanted, COUNTED_MAX), (included ?? 0) + 1);
    const [use] = await q.query<{ seats: number; retentionDays: number }>(
      `SELECT (SELECT count(*) FROM memberships WHERE org_id = $1)::int AS seats,
              substr(retention_class, 2)::int AS "retentionDays"
         FROM organizations WHERE id = $1`,
      [orgId],
    );
    if (use === undefined) return [];
    const requestsThisMonth = await this.#requestsWithin(q, orgId, countedMax);
    return planLimits(figures, { ...use, requestsThisMonth });
  }

  async #requestsWithin(q: Queryable, orgId: string, countedMax: number): Promise<number> {
    const [month, nowMs] = [this.#month(), this.clock.nowMs()];
    const kept = this.#kept.get(orgId);
    const isGood = kept?.month === month && kept.countedMax === countedMax;
    if (isGood && nowMs - kept.atMs < KEPT_MS) return kept.requests;
    const [row] = await q.query<{ requests: number }>(
      `SELECT count(*)::int AS requests FROM (SELECT FROM request_log
         WHERE org_id = $1 AND started_at >= $2 AND NOT synthetic LIMIT $3) AS calls`,
      [orgId, new Date(`${month}-01T00:00:00Z`), countedMax],
    );
    const requests = row?.requests ?? 0;
    this.#kept.delete(orgId);
    if (requests >= KEPT_MIN) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined && this.#kept.size >= KEPT_MAX) this.#kept.delete(oldest);
      this.#kept.set(orgId, { month, countedMax, requests, atMs: nowMs });
    }
    return requests;
  }

  /**
   * Tells the owners of every limit that was passed, once in a calendar month (UTC) each. Returns the organizations
   * that could not be looked at: one whose calls take too long to count must not keep the others from it.
   */
  async warnAll(signal?: AbortSignal): Promise<string[]> {
    const failed: string[] = [];
    let after: string | null = null;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const ids = await this.#organizationsAfter(after);
      for (const id of ids) {
        if (signal?.aborted) return failed;
        await this.warn(id).catch(() => failed.push(id));
        if (failed.length >= FAILED_MAX) return failed;
      }
      after = ids.at(-1) ?? null;
      if (after === null) break;
    }
    return failed;
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
    const passed = (await this.limitsOf(orgId)).filter(({ exceeded }) => exceeded);
    if (passed.length === 0) return;
    await this.database.tenant(orgId, async (q) => {
      for (const { limit, included, used } of passed) {
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
