import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { isUuid } from '../../platform/uuid.js';
import type { Applied, SubscriptionService } from '../subscriptions/subscription.service.js';

export type Activated =
  Applied | { readonly kind: 'unknown_report' } | { readonly kind: 'report_stale' };

const DAY_MS = 24 * 60 * 60 * 1000;
/** An older report tells of traffic that may have changed since. */
export const REPORT_FRESH_DAYS = 7;

/** Enabling routing: a person's act, on a report that this person has just seen. */
export class ActivationService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly subscriptions: SubscriptionService,
  ) {}

  /**
   * What forbids an activation whatever was reviewed (a hold, a payment, the status) is told first: a new report
   * would not help. A stale report undoes what was applied.
   */
  async activate(orgId: string, reportId: string, actor: Actor): Promise<Activated> {
    if (!isUuid(reportId)) return { kind: 'unknown_report' };
    try {
      return await this.database.tenant(orgId, async (q) => {
        const stale = await this.#isStale(q, orgId, reportId);
        if (stale === null) return { kind: 'unknown_report' };
        const applied = await this.subscriptions.applyWithin(q, orgId, {
          event: 'activate',
          actor,
          details: { report_id: reportId.toLowerCase() },
        });
        if (applied.kind === 'changed' && stale) throw new StaleReport();
        return applied;
      });
    } catch (error) {
      if (error instanceof StaleReport) return { kind: 'report_stale' };
      throw error;
    }
  }

  /** Null where the organization has no such report. Locks the status first, so that no kill comes in between. */
  async #isStale(q: Queryable, orgId: string, reportId: string): Promise<boolean | null> {
    await q.query('SELECT id FROM organizations WHERE id = $1 FOR UPDATE', [orgId]);
    const [row] = await q.query<{ stale: boolean }>(
      `SELECT r.created_at < $3
              OR EXISTS (SELECT FROM reports newer WHERE newer.org_id = $1
                           AND (newer.created_at, newer.id) > (r.created_at, r.id))
              OR EXISTS (SELECT FROM audit_log a WHERE a.org_id = $1 AND a.at >= r.created_at
                           AND a.action LIKE 'subscription.%'
                           AND a.action IN ('subscription.activate', 'subscription.kill')) AS stale
         FROM reports r WHERE r.org_id = $1 AND r.id = $2`,
      [orgId, reportId.toLowerCase(), new Date(this.clock.nowMs() - REPORT_FRESH_DAYS * DAY_MS)],
    );
    return row?.stale ?? null;
  }
}

class StaleReport extends Error {}
