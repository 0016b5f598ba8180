import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { pricesFromRecord, pricesToRecord } from '../../domain/pricing/price-record.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

/** An agreement as the database holds it. */
export interface NegotiatedRow {
  readonly provider: string;
  readonly model: string;
  /** Text from a column, a number inside JSON. */
  readonly effective_from_ms: string | number;
  readonly revision: number;
  readonly prices: Record<string, unknown>;
  readonly tiers: readonly { above_prompt_tokens: number; prices: Record<string, unknown> }[];
}

/** An agreement with who entered it, and when. */
export interface EnteredPrices extends NegotiatedPrices {
  readonly enteredBy: string;
  readonly enteredAt: Date;
}

type EnteredRow = NegotiatedRow & { readonly entered_by: string; readonly entered_at: Date };

/** A bound on what one listing can return. */
const LIST_MAX = 5000;

/** All entries of an organization, newest first, replaced ones included. `q` acts for that organization. */
export async function loadNegotiatedPrices(
  q: Queryable,
  orgId: string,
): Promise<readonly EnteredPrices[]> {
  const rows = await q.query<EnteredRow>(
    `SELECT provider, model, (extract(epoch FROM effective_from) * 1000)::bigint::text AS effective_from_ms,
            revision, prices, tiers, entered_by, entered_at
       FROM negotiated_prices
      WHERE org_id = $1
      ORDER BY effective_from DESC, revision DESC, provider, model
      LIMIT ${LIST_MAX}`,
    [orgId],
  );
  return rows.flatMap((row) => {
    const agreement = negotiatedPricesOf(row);
    if (agreement === null) return [];
    return [{ ...agreement, enteredBy: row.entered_by, enteredAt: row.entered_at }];
  });
}

/** Enters an agreement. The same (model, day, revision) twice is refused by the primary key. */
export async function insertNegotiatedPrices(
  q: Queryable,
  orgId: string,
  agreement: NegotiatedPrices,
  enteredBy: string,
): Promise<void> {
  await q.query(
    `INSERT INTO negotiated_prices
       (org_id, provider, model, effective_from, revision, prices, tiers, entered_by)
     VALUES ($1, $2, $3, to_timestamp($4::numeric / 1000), $5, $6::jsonb, $7::jsonb, $8)`,
    [
      orgId,
      agreement.provider,
      agreement.model,
      String(agreement.effectiveFromMs),
      agreement.revision,
      JSON.stringify(pricesToRecord(agreement.prices)),
      JSON.stringify(
        agreement.tiers.map((tier) => ({
          above_prompt_tokens: tier.abovePromptTokens,
          prices: pricesToRecord(tier.prices),
        })),
      ),
      enteredBy,
    ],
  );
}

/** Frozen. Null for a row that this version cannot read, such as one with a dimension that a newer one added. */
export function negotiatedPricesOf(row: NegotiatedRow): NegotiatedPrices | null {
  const provider = PROVIDERS.find((known) => known === row.provider);
  const prices = pricesFromRecord(row.prices);
  if (provider === undefined || prices === null) return null;
  const tiers: NegotiatedPrices['tiers'][number][] = [];
  for (const tier of row.tiers) {
    const tierPrices = pricesFromRecord(tier.prices);
    if (tierPrices === null) return null;
    tiers.push(
      Object.freeze({
        abovePromptTokens: tier.above_prompt_tokens,
        prices: Object.freeze(tierPrices),
      }),
    );
  }
  return Object.freeze({
    provider,
    model: row.model,
    effectiveFromMs: Number(row.effective_from_ms),
    revision: row.revision,
    prices: Object.freeze(prices),
    tiers: Object.freeze(tiers),
  });
}
