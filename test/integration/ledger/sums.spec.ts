import { afterAll, beforeAll, expect, test } from 'vitest';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
beforeAll(async () => {
  rig = await ledgerRig();
});
afterAll(() => rig?.close());

/** Five times as many stand in the reports' spec, where amounts alone are compared. */
const ENTRIES = 20_000;
/** On a machine that has other things to do. */
const MS_MAX = 480_000;

interface Sums {
  readonly entries: number;
  readonly actual_nano_usd: string;
  readonly baseline_nano_usd: string;
  readonly savings_nano_usd: string;
}

test(
  'the sum of 20,000 entries is the same to the nano-USD as they were made, in SQL, and recomputed offline',
  { timeout: MS_MAX },
  async () => {
    const { orgId } = await rig.db.createTenant();
    const made = { real: nothing(), auto: nothing(), synthetic: nothing() };
    const startMs = performance.now();
    for (let at = 0; at < ENTRIES; at += 5_000) {
      const entries = Array.from({ length: 5_000 }, (_, n) => variedEntryOf(orgId, at + n));
      for (const entry of entries) {
        const into = entry.synthetic ? [made.synthetic] : [made.real];
        if (!entry.synthetic && entry.auto) into.push(made.auto);
        for (const sum of into) {
          sum.entries += 1;
          sum.actual += BigInt(entry.actual_nano_usd);
          sum.baseline += BigInt(entry.baseline_nano_usd);
          sum.savings += BigInt(entry.savings_nano_usd);
        }
      }
      await rig.append(orgId, entries);
    }
    const appendedMs = performance.now();
    expect(await rig.sealer().sealDue()).toMatchObject({
      seals: ENTRIES / 5_000,
      entries: ENTRIES,
    });
    const sealedMs = performance.now();

    const sqlSum = async (where: string): Promise<Sums> => {
      const [row] = await rig.db.database.tenant(orgId, (q) =>
        q.query<Sums>(
          `SELECT count(*)::int AS entries, sum(actual_nano_usd)::text AS actual_nano_usd,
                  sum(baseline_nano_usd)::text AS baseline_nano_usd, sum(savings_nano_usd)::text AS savings_nano_usd
             FROM savings_ledger WHERE ${where}`,
        ),
      );
      return row!;
    };
    const expected = {
      real: told(made.real),
      auto: told(made.auto),
      synthetic: told(made.synthetic),
    };
    expect(await sqlSum('NOT synthetic')).toEqual(expected.real);
    expect(await sqlSum('NOT synthetic AND auto')).toEqual(expected.auto);
    expect(await sqlSum('synthetic')).toEqual(expected.synthetic);

    const readMs = performance.now();
    const verdict = await rig.verifier().verify(orgId);
    const verifiedMs = performance.now();
    expect(verdict).toMatchObject({ entries: ENTRIES, sealedEntries: ENTRIES, broken: null });
    expect(verdict.totals.real.savingsNanoUsd).toBe(made.real.savings);

    const csv = await rig.csv(orgId);
    const exportedMs = performance.now();
    const script = rig.script(csv);
    const scriptMs = performance.now() - exportedMs;
    expect(script).toMatchObject({ exitCode: 0, entries: ENTRIES, totals: expected });
    expect(made.real.savings).not.toBe(made.real.baseline);
    process.stdout.write(
      [
        `append ${perEntry(appendedMs - startMs)}`,
        `seal ${perEntry(sealedMs - appendedMs)}`,
        `verify in the database ${perEntry(verifiedMs - readMs)}`,
        `export ${perEntry(exportedMs - verifiedMs)} (${(csv.length / 1e6).toFixed(0)} MB)`,
        `verify offline ${perEntry(scriptMs)}`,
      ].join(', ') + '\n',
    );
  },
);

const nothing = () => ({ entries: 0, actual: 0n, baseline: 0n, savings: 0n });

function told(sum: ReturnType<typeof nothing>): Sums {
  return {
    entries: sum.entries,
    actual_nano_usd: String(sum.actual),
    baseline_nano_usd: String(sum.baseline),
    savings_nano_usd: String(sum.savings),
  };
}

const perEntry = (ms: number): string =>
  `${((ms * 1_000) / ENTRIES).toFixed(0)} us an entry (${(ms / 1_000).toFixed(1)} s)`;
