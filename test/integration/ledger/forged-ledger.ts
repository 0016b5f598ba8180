import { costOf } from '../../../src/domain/pricing/rating.js';
import { usageFromRecord } from '../../../src/domain/pricing/price-record.js';
import type { UnitPrices } from '../../../src/domain/pricing/unit-prices.js';
import {
  hashEntry,
  LEDGER_ROW_COLUMNS,
  type LedgerRow,
} from '../../../src/modules/ledger/ledger-encoding.js';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';

/**
 * The whole ledger written anew by somebody who has the schema and this program, and not the signing key: baselines
 * ten times as dear, and every amount, hash, root and link as they follow from that.
 */
export async function forge(database: Database, orgId: string, forger: Signer): Promise<void> {
  await database.tenant(orgId, async (q) => {
    await q.query(
      `UPDATE savings_ledger SET baseline_prices = (SELECT coalesce(jsonb_object_agg(key,
         to_jsonb(((value #>> '{}')::numeric * 10)::text)), '{}') FROM jsonb_each(baseline_prices))`,
    );
    for (const row of await rowsOf(q)) {
      const baseline = baselineOf(row);
      await q.query(
        'UPDATE savings_ledger SET baseline_nano_usd = $2, savings_nano_usd = $3 WHERE seq = $1',
        [row.seq, String(baseline), String(baseline - BigInt(row.actual_nano_usd))],
      );
    }
    for (const row of await rowsOf(q)) {
      const hash = hashEntry(row);
      await q.query(`UPDATE savings_ledger SET entry_hash = decode($2, 'hex') WHERE seq = $1`, [
        row.seq,
        hash,
      ]);
    }
    await q.query('DELETE FROM seals');
  });
  await new LedgerSealer(database, forger, systemClock, createLogger('silent')).seal(orgId);
}

function rowsOf(q: Queryable): Promise<LedgerRow[]> {
  return q.query<LedgerRow>(
    `SELECT ${LEDGER_ROW_COLUMNS} FROM savings_ledger ORDER BY savings_ledger.seq`,
  );
}

function baselineOf(row: LedgerRow): bigint {
  const usage = usageFromRecord(JSON.parse(row.baseline_usage) as Record<string, unknown>);
  const prices = Object.entries(JSON.parse(row.baseline_prices) as Record<string, string>);
  const unitPrices = prices.map(([dimension, price]) => [dimension, BigInt(price)]);
  return costOf(usage!, Object.fromEntries(unitPrices) as UnitPrices)!;
}
