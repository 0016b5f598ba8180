import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import { pricesFromRecord, pricesToRecord } from '../../domain/pricing/price-record.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Queryable } from '../../platform/postgres/queryable.js';

interface NegotiatedRow {
  readonly provider: string;
  readonly model: string;
  readonly effective_from_ms: string;
  readonly revision: number;
  readonly prices: Record<string, unknown>;
  readonly tiers: readonly { above_prompt_tokens: number; prices: Record<string, unknown> }[];
}

/** More agreements than any organization has; a bound on what one load can return. */
const NEGOTIATED_ROWS_MAX = 5000;

/** An organization's agreements, newest first. `q` must act for that organization (row-level security). */
export async function loadNegotiatedPrices(
  q: Queryable,
  orgId: string,
): Promise<readonly NegotiatedPrices[]> {
  const rows = await q.query<NegotiatedRow>(
    `SELECT provider, model, (extract(epoch FROM effective_from) * 1000)::bigint::text AS effective_from_ms,
            revision, prices, tiers
       FROM negotiated_prices
      WHERE org_id = $1
      ORDER BY effective_from DESC, revision DESC, provider, model
      LIMIT ${NEGOTIATED_ROWS_MAX}`,
    [orgId],
  );
  return rows.map(fromRow);
}

/** Enters an agreement. The same (model, date, revision) twice is refused by the primary key. */
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

function fromRow(row: NegotiatedRow): NegotiatedPrices {
  return {
    provider: providerOf(row.provider),
    model: row.model,
    effectiveFromMs: Number(row.effective_from_ms),
    revision: row.revision,
    prices: pricesOf(row.prices),
    tiers: row.tiers.map((tier) => ({
      abovePromptTokens: tier.above_prompt_tokens,
      prices: pricesOf(tier.prices),
    })),
  };
}

function providerOf(text: string): Provider {
  const provider = PROVIDERS.find((known) => known === text);
  if (provider === undefined) throw new Error(`negotiated_prices.provider: ${text}`);
  return provider;
}

function pricesOf(record: Record<string, unknown>): NegotiatedPrices['prices'] {
  const prices = pricesFromRecord(record);
  if (prices === null) throw new Error('negotiated_prices.prices is malformed');
  return prices;
}
