import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { isAway } from '../../platform/postgres/query-error.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { auditWithin } from '../audit/audit-trail.js';
import type { OngoingCharge } from '../billing/payment-standing.js';
import { mailOwnersWithin } from '../mail/outbox.js';

export type DeletionRequest =
  | { readonly kind: 'requested'; readonly dueAt: Date }
  /** The name that was typed is not the organization's. */
  | { readonly kind: 'not_confirmed' }
  /** It would go on being charged, with nobody left who could end that. */
  | { readonly kind: 'still_paid' }
  | { readonly kind: 'not_found' };

export interface Erasure {
  readonly organizations: number;
  readonly records: number;
  /** Kept, because somebody paid for them meanwhile. */
  readonly stillPaid: number;
  readonly failed: number;
}

const ORGANIZATIONS_PER_RUN = 1_000;
/** What is not reached is left to the next run, which begins an hour after this one. */
const RUN_MS_MAX = 50 * 60_000;
/** Rows of a batch. Replicas follow some of the first kind, by a counter that a transaction holds while it commits. */
const AT_ONCE = { erase_organization_rows: 100, erase_organization_records: 2_000 } as const;
/** An organization with more is finished by later runs. */
const BATCHES_PER_RUN = 500;
const JOB = { kind: 'job', name: 'erasure' } as const satisfies Actor;

/** Deletion at an owner's wish: a grace of seven days, which the database counts, then an erasure that is final. */
export class DeletionService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly isCharged: OngoingCharge,
  ) {}

  /** Asked again while it is under way, the first date stands. `typedName`: the name, as the owner typed it to confirm. */
  async request(orgId: string, typedName: string, actor: Actor): Promise<DeletionRequest> {
    return this.database.tenant(orgId, async (q) => {
      const [organization] = await q.query<{ name: string; pending: boolean }>(
        'SELECT name, deletion_due_at IS NOT NULL AS pending FROM organizations WHERE id = $1 FOR UPDATE',
        [orgId],
      );
      if (!organization) return { kind: 'not_found' };
      if (organization.name !== typedName) return { kind: 'not_confirmed' };
      if (await this.isCharged(q, orgId)) return { kind: 'still_paid' };
      const [row] = await q.query<{ due: Date }>(
        'SELECT request_organization_deletion($1) AS due',
        [orgId],
      );
      const dueAt = row!.due;
      if (organization.pending) return { kind: 'requested', dueAt };
      const atMs = this.clock.nowMs();
      const seq = await auditWithin(q, orgId, {
        actor,
        action: 'organization.deletion_requested',
        atMs,
        details: { due_at: dueAt.toISOString() },
      });
      const data = { due_at: dueAt.toISOString() };
      await mailOwnersWithin(q, orgId, {
        kind: 'deletion_requested',
        dedupeKey: `deletion:${seq}`,
        atMs,
        data,
      });
      return { kind: 'requested', dueAt };
    });
  }

  /** False where none was under way. */
  async withdraw(orgId: string, actor: Actor): Promise<boolean> {
    return this.database.tenant(orgId, async (q) => {
      const [row] = await q.query<{ withdrawn: boolean }>(
        'SELECT withdraw_organization_deletion($1) AS withdrawn',
        [orgId],
      );
      if (!row?.withdrawn) return false;
      await auditWithin(q, orgId, {
        actor,
        action: 'organization.deletion_withdrawn',
        atMs: this.clock.nowMs(),
      });
      return true;
    });
  }

  /** When the organization will be erased; null where nobody asked. */
  async dueAt(orgId: string): Promise<Date | null> {
    const [row] = await this.database.tenant(orgId, (q) =>
      q.query<{ due: Date | null }>('SELECT deletion_due_at AS due FROM organizations'),
    );
    return row?.due ?? null;
  }

  /** Erases what is due, and rows that came in late. It can be ended anywhere: the next run goes on. */
  async eraseDue(signal?: AbortSignal): Promise<Erasure> {
    const untilMs = this.clock.nowMs() + RUN_MS_MAX;
    const due = await this.database.query<{ id: string }>(
      'SELECT organizations_to_erase($1) AS id',
      [ORGANIZATIONS_PER_RUN],
    );
    let [organizations, records, stillPaid, failed] = [0, 0, 0, 0];
    for (const { id } of due) {
      if (signal?.aborted || this.clock.nowMs() >= untilMs) break;
      try {
        const begun = await this.#erase(id);
        if (begun === 'erased') organizations += 1;
        if (begun === 'still_paid') stillPaid += 1;
        await this.#inBatches(id, 'erase_organization_rows', signal);
        records += await this.#inBatches(id, 'erase_organization_records', signal);
      } catch (error) {
        if (isAway(error)) throw error;
        // One organization that cannot be erased must not keep the others.
        failed += 1;
        this.logger.error({ err: safeError(error), orgId: id }, 'an organization was not erased');
      }
    }
    return { organizations, records, stillPaid, failed };
  }

  async #erase(orgId: string): Promise<'erased' | 'erased_before' | 'still_paid'> {
    return this.database.tenant(orgId, async (q) => {
      const [organization] = await q.query<{ erased: boolean }>(
        'SELECT erased_at IS NOT NULL AS erased FROM organizations WHERE id = $1 FOR UPDATE',
        [orgId],
      );
      // A checkout that was open when the deletion was asked for may have been paid since.
      if (!organization?.erased && (await this.isCharged(q, orgId))) {
        this.logger.warn({ orgId }, 'an organization is not erased: it is paid for again');
        return 'still_paid';
      }
      const [row] = await q.query<{ erased: boolean }>('SELECT erase_organization($1) AS erased', [
        orgId,
      ]);
      if (!row?.erased) return 'erased_before';
      await auditWithin(q, orgId, {
        actor: JOB,
        action: 'organization.erased',
        atMs: this.clock.nowMs(),
      });
      return 'erased';
    });
  }

  async #inBatches(
    orgId: string,
    erase: keyof typeof AT_ONCE,
    signal?: AbortSignal,
  ): Promise<number> {
    let total = 0;
    for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
      if (signal?.aborted) break;
      const [row] = await this.database.tenant(orgId, (q) =>
        q.query<{ erased: number }>(`SELECT ${erase}($1, $2) AS erased`, [orgId, AT_ONCE[erase]]),
      );
      const erased = row?.erased ?? 0;
      total += erased;
      if (erased === 0) break;
    }
    return total;
  }
}
