import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import { DeletionService } from '../../../src/modules/leaving/deletion.service.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import type { LedgerVerdict } from '../../../src/modules/ledger/ledger-verifier.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import type { TestTenant } from '../../support/postgres.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { routedEntryOf, variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
let a: TestTenant;
let b: TestTenant;

beforeAll(async () => {
  rig = await ledgerRig();
  [a, b] = [
    await rig.db.createTenant({ name: 'Leaver' }),
    await rig.db.createTenant({ name: 'Neighbour' }),
  ];
  for (const { orgId } of [a, b]) {
    await rig.append(
      orgId,
      Array.from({ length: 8 }, (_, n) => variedEntryOf(orgId, n)),
    );
  }
  await rig.sealer().sealDue();
  await rig.append(a.orgId, [variedEntryOf(a.orgId, 100)]);
});
afterAll(() => rig?.close());

const TABLES = ['savings_ledger', 'seals', 'ledger_heads'] as const;

/** With every way into the rows of an organization that a login has. */
const AS = {
  'the runtime': (work: (q: Queryable) => Promise<unknown>) =>
    rig.db.database.tenant(a.orgId, work),
  'the owner of the schema': (work: (q: Queryable) => Promise<unknown>) =>
    rig.db.owner.tenant(a.orgId, work),
};

describe.each(Object.entries(AS))('%s', (who, as) => {
  const refusal = who === 'the runtime' ? '42501' : '23001';

  test.each(TABLES)('cannot change, delete or empty %s', async (table) => {
    for (const sql of [
      `UPDATE ${table} SET seq = seq`,
      `UPDATE ${table} SET seq = seq + 1 WHERE seq = 1`,
      `DELETE FROM ${table}`,
      `TRUNCATE ${table}`,
    ]) {
      // What the head does itself is to move by one, which the owner's trigger lets nobody tell from its own.
      if (table === 'ledger_heads' && sql.includes('WHERE seq = 1')) continue;
      await expect(
        as((q) => q.query(sql)),
        sql,
      ).rejects.toMatchObject({ code: refusal });
    }
  });

  test('cannot give an entry its number or hash, nor a seal that does not continue', async () => {
    const numbered = as((q) =>
      q.query(
        `INSERT INTO savings_ledger (org_id, seq, entry_hash) VALUES ($1, 99, sha256('x'::bytea))`,
        [a.orgId],
      ),
    );
    await expect(numbered).rejects.toThrow();
    for (const change of [
      's.seq + 5, range, root, prev, hash',
      's.seq + 1, range, root, prev, hash',
      `s.seq + 1, int8range(9, 10), root, s.hash, s.hash`,
    ]) {
      const sealed = as((q) =>
        q.query(
          `INSERT INTO seals SELECT org_id, ${change}, sealed_at, signature, key_id
             FROM seals s WHERE org_id = $1`,
          [a.orgId],
        ),
      );
      await expect(sealed, change).rejects.toMatchObject({ code: '23000' });
    }
  });

  test('cannot add an amount that does not follow, nor to another organization', async () => {
    const add = (entry: LedgerEntry): Promise<unknown> =>
      as((q) => appendEntriesWithin(q, [entry]));
    const good = routedEntryOf(a.orgId);
    const cheaper = String(BigInt(good.actual_nano_usd) - 1n);
    for (const [entry, code] of [
      [{ ...good, actual_nano_usd: cheaper }, '23000'],
      [{ ...good, baseline_nano_usd: `${good.baseline_nano_usd}0` }, '23000'],
      [{ ...good, savings_nano_usd: '1' }, '23514'],
      [{ ...good, actual_nano_usd: `${good.actual_nano_usd}.5` }, '23000'],
      [{ ...good, served_prices: { inputTokens: '1' } }, '23000'],
      [{ ...good, served_prices: { ...good.served_prices, other: '1' } }, '23000'],
      [{ ...good, served_prices: { ...good.served_prices, outputTokens: '-500000000' } }, '23000'],
      [{ ...good, usage: { ...good.usage, inputTokens: 1.5 } }, '23000'],
      [{ ...good, usage: { ...good.usage, words: 1 } }, '23000'],
      [{ ...good, kind: 'failed_attempt' }, '23514'],
      [{ ...good, kind: 'bonus' }, '23514'],
      [{ ...good, attempt: -1 }, '23514'],
      [{ ...good, baseline_model: 'a prompt, it seems' }, '23514'],
      [{ ...good, org_id: b.orgId }, '42501'],
    ] as unknown as readonly (readonly [LedgerEntry, string])[]) {
      await expect(add(entry), JSON.stringify(entry)).rejects.toMatchObject({ code });
    }
    const verdict = await rig.verifier().verify(a.orgId);
    expect([verdict.entries, verdict.broken]).toEqual([9, null]);
  });
});

test('an organization sees its own ledger and nothing of the other', async () => {
  for (const table of TABLES) {
    const rows = await rig.db.database.tenant(a.orgId, (q) =>
      q.query<{ org: string }>(`SELECT DISTINCT org_id::text AS org FROM ${table}`),
    );
    expect(rows).toEqual([{ org: a.orgId }]);
    expect(await rig.db.database.query(`SELECT FROM ${table}`)).toEqual([]);
  }
  const csv = await rig.csv(a.orgId);
  expect(csv).not.toContain(b.orgId);
  expect(rig.script(csv)).toMatchObject({ holds: true, entries: 9, sealed_entries: 8 });
});

test('a text that a spreadsheet would run is made harmless in the file, and verifies as it was', async () => {
  const { orgId } = await rig.db.createTenant();
  const names = ['@cmd', '+1', '-1', "normal'"];
  const entries = names.slice(0, 3).map((name, n) =>
    routedEntryOf(orgId, {
      attempt: n,
      served_model: name,
      baseline_price_version: ['=1+1', "'quoted", '\ttab, "quoted"'][n]!,
      served_price_version: n === 2 ? '2026-11-20\r' : '@x',
    }),
  );
  await rig.append(orgId, entries.slice(0, 2));
  const csv = await rig.csv(orgId);
  for (const line of csv.trim().split('\n')) {
    expect(line).not.toMatch(/(?:^|,)"?[=+@\t]/);
  }
  expect(csv).toContain("'=1+1");
  expect(csv).toContain("''quoted");
  expect(rig.script(csv)).toMatchObject({ exitCode: 0, entries: 2 });
});

test('erasing an organization keeps its ledger, which verifies as before, and gets its late entries sealed', async () => {
  const before = await rig.verifier().verify(a.orgId);
  const deletions = new DeletionService(
    rig.db.database,
    systemClock,
    createLogger('silent'),
    async () => false,
  );
  const owner = {
    kind: 'member',
    id: '00000000-0000-4000-8000-000000000001',
    role: 'owner',
  } as const;
  expect((await deletions.request(a.orgId, 'Leaver', owner)).kind).toBe('requested');
  await rig.db.owner.tenant(a.orgId, (q) =>
    q.query(`UPDATE organizations SET deletion_due_at = now() - interval '1 second'`),
  );
  expect(await deletions.eraseDue()).toMatchObject({ organizations: 1, failed: 0 });
  expect(await deletions.eraseDue()).toMatchObject({ failed: 0 });
  expect(await rig.verifier().verify(a.orgId)).toEqual(before);
  await rig.append(a.orgId, [variedEntryOf(a.orgId, 200)]);
  await rig.sealer().sealDue();
  expect(await rig.verifier().verify(a.orgId)).toMatchObject({
    entries: 10,
    sealedEntries: 10,
    broken: null,
  });
  const all: LedgerVerdict[] = [];
  for await (const verdict of rig.verifier().verifyAll()) all.push(verdict);
  expect(all.find(({ orgId }) => orgId === a.orgId)?.entries).toBe(10);
  expect(all.find(({ orgId }) => orgId === b.orgId)?.entries).toBe(8);
  expect(all.filter(({ broken }) => broken !== null)).toEqual([]);
});
