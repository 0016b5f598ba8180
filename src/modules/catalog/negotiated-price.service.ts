import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { actorName, type Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import {
  insertNegotiatedPrices,
  loadNegotiatedPrices,
  type EnteredPrices,
} from './negotiated-prices.store.js';

/** `effectiveFromMs` is the beginning of a day (UTC). */
export type NewAgreement = Omit<NegotiatedPrices, 'revision'>;

export type EnteredAgreement =
  | { readonly kind: 'entered'; readonly agreement: NegotiatedPrices }
  /** There is no such organization. */
  | { readonly kind: 'not_found' }
  /** The organization has `NEGOTIATED_PRICES_MAX` agreements in force or to come. */
  | { readonly kind: 'too_many' };

/** What every key of an organization holds in memory is bounded here; `find_principal` answers with no more. */
export const NEGOTIATED_PRICES_MAX = 1_000;

/** What a column of the trail takes; the price itself is named in full where it is kept. */
const SUBJECT_CHARS_MAX = 200;

/** What organizations agreed with providers. Entries are never changed: a second one for a day is its next revision. */
export class NegotiatedPriceService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /**
   * Replicas price calls with it within a second; records that are written already keep their price, and the ledger is
   * adjusted within the hour.
   */
  async enter(orgId: string, fields: NewAgreement, actor: Actor): Promise<EnteredAgreement> {
    return this.database.tenant(orgId, async (q) => {
      // One entry of an organization at a time, as bound and revision follow from what is there.
      const organization = await q.query(
        'SELECT id FROM organizations WHERE id = $1 FOR NO KEY UPDATE',
        [orgId],
      );
      if (organization.length === 0) return { kind: 'not_found' };
      if ((await countOtherLive(q, orgId, fields)) >= NEGOTIATED_PRICES_MAX)
        return { kind: 'too_many' };
      const agreement = { ...fields, revision: await nextRevision(q, orgId, fields) };
      await insertNegotiatedPrices(q, orgId, agreement, `${actor.kind} ${actorName(actor)}`);
      await auditWithin(q, orgId, {
        actor,
        action: 'price.agreed',
        atMs: this.clock.nowMs(),
        subject: `${fields.provider}:${fields.model}`.slice(0, SUBJECT_CHARS_MAX),
        details: {
          from: new Date(fields.effectiveFromMs).toISOString().slice(0, 10),
          revision: agreement.revision,
          // Not the amounts: an entry outlives its organization, and what was agreed is nobody else's business.
          prices: Object.keys(fields.prices),
          tiers: fields.tiers.length,
        },
      });
      return { kind: 'entered', agreement };
    });
  }

  /** Every entry, newest first, replaced ones included. */
  async list(orgId: string): Promise<readonly EnteredPrices[]> {
    return this.database.tenant(orgId, (q) => loadNegotiatedPrices(q, orgId));
  }
}

/** Live agreements of the organization but for the one of this model and day. */
async function countOtherLive(q: Queryable, orgId: string, fields: NewAgreement): Promise<number> {
  const [row] = await q.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM live_negotiated_prices
      WHERE org_id = $1 AND (provider, model, effective_from_ms) <> ($2, $3, $4::bigint)`,
    keyOf(orgId, fields),
  );
  return row?.count ?? 0;
}

async function nextRevision(q: Queryable, orgId: string, fields: NewAgreement): Promise<number> {
  const [row] = await q.query<{ revision: number }>(
    `SELECT coalesce(max(revision) + 1, 0) AS revision FROM negotiated_prices
      WHERE org_id = $1 AND provider = $2 AND model = $3
        AND effective_from = to_timestamp($4::numeric / 1000)`,
    keyOf(orgId, fields),
  );
  return row?.revision ?? 0;
}

function keyOf(orgId: string, fields: NewAgreement): unknown[] {
  return [orgId, fields.provider, fields.model, String(fields.effectiveFromMs)];
}
