import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import type { Catalog } from '../../../src/modules/catalog/catalog.js';
import {
  NegotiatedPriceService,
  type NewAgreement,
} from '../../../src/modules/catalog/negotiated-price.service.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { snapshotCatalog } from '../../../src/modules/catalog/price-versions.store.js';
import { LatePrices } from '../../../src/modules/ledger/late-prices.js';
import { dropExpiredWithin } from '../../../src/modules/ledger/unpriced-calls.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import * as calls from './late-prices-calls.js';
import {
  BASELINE,
  BOOK,
  CALLED_AT_MS,
  CATALOG,
  CHEAP,
  DAY_MS,
  DEAR,
  TODAY_MS,
  UNLISTED,
  USAGE,
  type Made,
} from './late-prices-calls.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';

let rig: LedgerRig;
beforeAll(async () => {
  rig = await ledgerRig();
});
afterAll(() => rig?.close());

const routed = (made: Omit<Made, 'database'>) =>
  calls.routedCall({ database: rig.db.database, ...made });
const agree = (orgId: string, rest?: Partial<NewAgreement>) =>
  calls.agree(rig.db.database, orgId, rest);

const latePrices = (database: Database = rig.db.database, catalog: Catalog = CATALOG) =>
  new LatePrices(database, systemClock, createLogger('silent'), () => catalog);

const NONE_LEFT = { no_record: 0, not_reproduced: 0, unpriceable: 0 };

async function sums(orgId: string): Promise<{ entries: number; actual: string; baseline: string }> {
  const [row] = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ entries: number; actual: string; baseline: string }>(
      `SELECT count(*)::int AS entries, sum(actual_nano_usd)::text AS actual,
              sum(baseline_nano_usd)::text AS baseline FROM savings_ledger`,
    ),
  );
  return row!;
}

/** What both sides of the calls cost by the list and these agreements, added up. */
async function recomputed(
  orgId: string,
  made: readonly { atMs: number; served: Target; usage: Usage; tier?: string }[],
) {
  const negotiated = await new NegotiatedPriceService(rig.db.database, systemClock).list(orgId);
  return made.reduce((total, { atMs, served, usage, tier = 'default' }) => {
    const terms = { serviceTier: tier, speed: null, region: null };
    const rating = BOOK.rate({ ...served, ...terms, atMs, usage, negotiated });
    if (rating.kind !== 'priced') throw new Error(rating.reason);
    return total + rating.costNanoUsd;
  }, 0n);
}

const sides = (atMs: number, tier = 'default') => [
  { atMs, served: CHEAP, usage: USAGE, tier },
  { atMs, served: DEAR, usage: BASELINE, tier },
];

async function verified(orgId: string, entries: number): Promise<void> {
  await rig.sealer().sealDue();
  expect(await rig.verifier().verify(orgId)).toMatchObject({
    entries,
    sealedEntries: entries,
    broken: null,
  });
  expect(rig.script(await rig.csv(orgId))).toMatchObject({ exitCode: 0, entries });
}

const newOrganization = async (): Promise<string> => (await rig.db.createTenant()).orgId;

describe('an agreement for days that are over', () => {
  test('makes the ledger say what it says, to the nano-dollar, once, and again with each correction', async () => {
    const [orgId, other] = [await newOrganization(), await newOrganization()];
    const priority = TODAY_MS - 2 * DAY_MS;
    const before = TODAY_MS - 9 * DAY_MS;
    await routed({ orgId });
    await routed({ orgId, atMs: priority, serviceTier: 'priority' });
    await routed({ orgId, atMs: before });
    await routed({ orgId: other });
    const expected = async () => {
      const made = [...sides(CALLED_AT_MS), ...sides(priority, 'priority'), ...sides(before)];
      const [actual, baseline] = await Promise.all([
        recomputed(
          orgId,
          made.filter(({ served }) => served === CHEAP),
        ),
        recomputed(
          orgId,
          made.filter(({ served }) => served === DEAR),
        ),
      ]);
      return { actual: String(actual), baseline: String(baseline) };
    };
    expect(await sums(orgId)).toEqual({ entries: 3, ...(await expected()) });
    const list = await expected();

    await agree(orgId);
    expect(await expected()).not.toEqual(list);
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 2, left: NONE_LEFT });
    expect(await sums(orgId)).toEqual({ entries: 7, ...(await expected()) });
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 0 });

    await agree(orgId, { prices: { inputTokens: 0n, cacheReadTokens: 0n, outputTokens: 0n } });
    await agree(orgId, { ...DEAR, prices: { outputTokens: 1n } });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 2, left: NONE_LEFT });
    expect(await sums(orgId)).toEqual({ entries: 11, ...(await expected()) });

    // And back from nothing, which is the same when it is negated.
    await agree(orgId, { prices: { outputTokens: 77_777n } });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 2, left: NONE_LEFT });
    expect(await sums(orgId)).toEqual({ entries: 15, ...(await expected()) });
    await verified(orgId, 15);
    expect(await sums(other)).toMatchObject({ entries: 1 });
  });

  test('corrects what a failed attempt cost too, each of two that are alike', async () => {
    const orgId = await newOrganization();
    await routed({ orgId, failed: CHEAP, serviceTier: 'priority' });
    await agree(orgId);
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 3, left: NONE_LEFT });
    await agree(orgId, { prices: { inputTokens: 9_999n } });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 3, left: NONE_LEFT });
    const usage = { ...NO_USAGE, inputTokens: 77 };
    const failed = { atMs: CALLED_AT_MS, served: CHEAP, usage, tier: 'priority' };
    const [served] = sides(CALLED_AT_MS, 'priority');
    const actual = await recomputed(orgId, [served!, failed, failed]);
    expect(await sums(orgId)).toMatchObject({ entries: 15, actual: String(actual) });
    await verified(orgId, 15);
  });

  test('keeps the list of the day of the call for what it does not name, whatever a later release says', async () => {
    const orgId = await newOrganization();
    const old = { ...CATALOG, version: '2026-01-01.0123456789ab' };
    await snapshotCatalog(rig.db.database, old);
    await routed({ orgId, book: new PriceBook(old) });
    const model = CATALOG.models.openai.get(CHEAP.model)!;
    const dearer = model.prices.entries.map((entry) => ({
      ...entry,
      prices: { ...entry.prices, outputTokens: 999_999_999_999n },
    }));
    const newer: Catalog = {
      ...CATALOG,
      version: '2027-01-01.ba9876543210',
      models: {
        ...CATALOG.models,
        openai: new Map(CATALOG.models.openai).set(CHEAP.model, {
          ...model,
          prices: { ...model.prices, entries: dearer },
        }),
      },
    };
    const adjusting = latePrices(rig.db.database, newer);
    expect(await adjusting.adjustDue()).toMatchObject({ organizations: 0 });
    await agree(orgId);
    expect(await adjusting.adjustDue()).toMatchObject({ corrected: 1, left: NONE_LEFT });
    const [served] = sides(CALLED_AT_MS);
    expect((await sums(orgId)).actual).toBe(String(await recomputed(orgId, [served!])));
  });

  test('finds an entry that is stored after it was applied, with the price from before', async () => {
    const orgId = await newOrganization();
    await agree(orgId);
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 0 });
    await routed({ orgId });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 1 });
  });

  test('leaves an entry alone whose record is gone, or whose prices follow from nothing that is known', async () => {
    const orgId = await newOrganization();
    await routed({ orgId, recorded: false });
    const unknown = new PriceBook({ ...CATALOG, version: 'never-stored' });
    await routed({ orgId, book: unknown });
    await agree(orgId);
    const run = await latePrices().adjustDue();
    expect(run).toMatchObject({ corrected: 0, left: { no_record: 1, not_reproduced: 1 } });
    expect(await sums(orgId)).toMatchObject({ entries: 2 });
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 0 });
  });
});

describe('a call that had no price', () => {
  const priced = { ...UNLISTED, prices: pricesOf('1000000000', '2000000000') };

  test('gets its entry when the price is known, once, and it follows later corrections', async () => {
    const orgId = await newOrganization();
    const record = await routed({ orgId, served: UNLISTED, failed: CHEAP });
    expect(record.unpriced).toBeDefined();
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 1, priced: 0 });
    await agree(orgId, { ...priced, effectiveFromMs: TODAY_MS });
    expect(await latePrices().adjustDue()).toMatchObject({ priced: 0 });
    // The attempts before it are corrected first: numbers of adjustments are a request's.
    await agree(orgId);
    await agree(orgId, priced);
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 2, priced: 1 });
    const cost = () => recomputed(orgId, [{ atMs: CALLED_AT_MS, served: UNLISTED, usage: USAGE }]);
    const said = await entriesOf(orgId, UNLISTED);
    expect(said).toEqual([
      { attempt: 5, actual: String(await cost()), kind: 'adjustment', dated: true },
    ]);

    await calls.store(rig.db.database, record);
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 0, priced: 0 });
    await agree(orgId, { ...priced, prices: pricesOf('7', '3') });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 1, left: NONE_LEFT });
    const amounts = (await entriesOf(orgId, UNLISTED)).map(({ actual }) => BigInt(actual));
    expect(amounts.reduce((a, b) => a + b, 0n)).toBe(await cost());
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 0 });
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 0 });
    await verified(orgId, 9);
  });

  test('gets it from a later release that knows the model', async () => {
    const orgId = await newOrganization();
    await routed({ orgId, served: UNLISTED });
    expect(await latePrices().adjustDue()).toMatchObject({ priced: 0 });
    const model = { ...CATALOG.models.openai.get(CHEAP.model)!, id: UNLISTED.model };
    const openai = new Map(CATALOG.models.openai).set(UNLISTED.model, model);
    const newer = { ...CATALOG, version: 'newer', models: { ...CATALOG.models, openai } };
    const adjusting = latePrices(rig.db.database, newer);
    expect(await adjusting.adjustDue()).toMatchObject({ priced: 1 });
    expect(await adjusting.adjustDue()).toMatchObject({ organizations: 0 });
    await verified(orgId, 1);
  });

  test('is kept no longer than its record, and gets no entry after it', async () => {
    const orgId = await newOrganization();
    const atMs = TODAY_MS - 91 * DAY_MS;
    await routed({ orgId, served: UNLISTED, atMs });
    await agree(orgId, { ...priced, effectiveFromMs: atMs - DAY_MS });
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 1, priced: 0 });
    expect(await latePrices().adjustDue()).toMatchObject({ organizations: 0 });
  });
});

test('what is kept no longer is dropped in batches', async () => {
  const orgId = await newOrganization();
  for (let call = 0; call < 3; call += 1) {
    await routed({ orgId, served: UNLISTED, atMs: TODAY_MS - 91 * DAY_MS });
  }
  const drop = () => rig.db.database.tenant(orgId, (q) => dropExpiredWithin(q, orgId, TODAY_MS, 2));
  expect([await drop(), await drop()]).toEqual([true, false]);
  expect(await latePrices().adjustDue()).toMatchObject({ organizations: 0 });
});

describe('a run that has more organizations than it may look at', () => {
  test('goes on behind the last one the next time, until all of them had their turn', async () => {
    const created = [await newOrganization(), await newOrganization(), await newOrganization()];
    const orgIds = created.toSorted();
    for (const orgId of orgIds) await routed({ orgId, served: UNLISTED });
    const adjusting = new LatePrices(
      rig.db.database,
      systemClock,
      createLogger('silent'),
      () => CATALOG,
      1,
    );
    const tried = async (): Promise<number> => {
      let sum = 0;
      for (const orgId of orgIds) {
        const [row] = await rig.db.database.tenant(orgId, (q) =>
          q.query<{ tried: number }>(
            `SELECT count(*)::int AS tried FROM unpriced_calls WHERE tried > ''`,
          ),
        );
        sum += row!.tried;
      }
      return sum;
    };
    for (const turn of [1, 2, 3]) {
      expect(await adjusting.adjustDue()).toMatchObject({ organizations: 1 });
      expect(await tried()).toBe(turn);
    }
    await agree(orgIds[0]!, { ...UNLISTED, prices: pricesOf('1', '2') });
    expect(await adjusting.adjustDue()).toMatchObject({ organizations: 1, priced: 1 });
    for (const orgId of orgIds.slice(1)) {
      await agree(orgId, { ...UNLISTED, prices: pricesOf('1', '2') });
    }
    expect(await latePrices().adjustDue()).toMatchObject({ priced: 2 });
  });
});

describe('at any moment', () => {
  test('two replicas at once say it once', async () => {
    const orgId = await newOrganization();
    for (let n = 0; n < 5; n += 1) await routed({ orgId });
    await routed({ orgId, served: UNLISTED });
    await agree(orgId);
    await agree(orgId, { ...UNLISTED, prices: pricesOf('1', '2') });
    const replica = await rig.db.connect({ poolSize: 2 });
    const runs = await Promise.all([
      latePrices().adjustDue(),
      latePrices(replica).adjustDue(),
      latePrices().adjustDue(),
    ]);
    await replica.close();
    await latePrices().adjustDue();
    expect(runs.reduce((total, { corrected }) => total + corrected, 0)).toBeLessThanOrEqual(5);
    expect(await sums(orgId)).toMatchObject({ entries: 5 + 10 + 1 });
  });

  test('a connection that is lost before the end leaves no half of it, and the next run does it all', async () => {
    const orgId = await newOrganization();
    await routed({ orgId });
    await agree(orgId);
    const replica = await rig.db.connect({ poolSize: 2 });
    expect(await latePrices(lostAfterAppending(replica)).adjustDue()).toMatchObject({
      failed: 1,
      corrected: 0,
    });
    await replica.close();
    expect(await sums(orgId)).toMatchObject({ entries: 1 });
    expect(await latePrices().adjustDue()).toMatchObject({ failed: 0, corrected: 1 });
    expect(await sums(orgId)).toMatchObject({ entries: 3 });
  });

  test('a run that is told to end does no more, and the next goes on', async () => {
    const orgId = await newOrganization();
    await routed({ orgId });
    await agree(orgId);
    expect(await latePrices().adjustDue(AbortSignal.abort())).toMatchObject({ organizations: 0 });
    expect(await latePrices().adjustDue()).toMatchObject({ corrected: 1 });
  });
});

function pricesOf(input: string, output: string) {
  return {
    inputTokens: BigInt(input),
    cacheReadTokens: BigInt(input),
    outputTokens: BigInt(output),
  };
}

async function entriesOf(orgId: string, { model }: Target) {
  return rig.db.database.tenant(orgId, (q) =>
    q.query<{ attempt: number; actual: string; kind: string; dated: boolean }>(
      `SELECT attempt, actual_nano_usd::text AS actual, kind, at_ms > $2 AS dated
         FROM savings_ledger WHERE served_model = $1 ORDER BY seq`,
      [model, TODAY_MS],
    ),
  );
}

/** Its connection is gone right after the entries were sent, as when the process is killed there. */
function lostAfterAppending(database: Database): Database {
  const losing = (q: Queryable): Queryable => ({
    query: async (sql: string, parameters: readonly unknown[] = []) => {
      const rows = await q.query(sql, parameters);
      if (sql.includes('INSERT INTO savings_ledger')) {
        await q.query('SELECT pg_terminate_backend(pg_backend_pid())');
      }
      return rows as never;
    },
  });
  return {
    query: (sql: string, parameters?: readonly unknown[]) => database.query(sql, parameters),
    tenant: (orgId: string, work: (q: Queryable) => Promise<unknown>) =>
      database.tenant(orgId, (q) => work(losing(q))),
  } as unknown as Database;
}
