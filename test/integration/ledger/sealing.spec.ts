import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LedgerGapError } from '../../../src/modules/ledger/ledger-sealer.js';
import { isGenuineLedgerHead } from '../../../src/modules/ledger/ledger-heads.js';
import { CrashingDatabase } from '../observation/crashing-database.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
beforeAll(async () => {
  rig = await ledgerRig();
});
afterAll(() => rig?.close());

const MOMENTS_MAX = 200;

async function ledgerOf(count: number, from = 0, orgId?: string): Promise<string> {
  const id = orgId ?? (await rig.db.createTenant()).orgId;
  await rig.append(
    id,
    Array.from({ length: count }, (_, n) => variedEntryOf(id, from + n)),
  );
  return id;
}

async function rangesOf(orgId: string): Promise<string[]> {
  const rows = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ range: string }>('SELECT range::text FROM seals ORDER BY seq'),
  );
  return rows.map(({ range }) => range);
}

test('what is new is put under seal, each time after what was sealed before, with a head that is genuine', async () => {
  const orgId = await ledgerOf(3);
  expect(await rig.heads().current(orgId)).toBeNull();
  expect(await rig.sealer().sealDue()).toMatchObject({ seals: 1, entries: 3, failed: 0 });
  expect(await rig.sealer().sealDue()).toEqual({
    organizations: 0,
    seals: 0,
    entries: 0,
    failed: 0,
  });
  await ledgerOf(4, 3, orgId);
  await rig.sealer().sealDue();
  expect(await rangesOf(orgId)).toEqual(['[1,4)', '[4,8)']);
  const head = (await rig.heads().current(orgId))!;
  expect(head).toMatchObject({ seal: 2, entries: 7 });
  expect(isGenuineLedgerHead(rig.signer.publicKey, head)).toBe(true);
  expect(isGenuineLedgerHead(rig.signer.publicKey, { ...head, entries: 6 })).toBe(false);
});

test('a crash at any moment of a run leaves a chain that holds, and the next run ends it', async () => {
  let crashes = 0;
  for (let moment = 1; ; moment += 1) {
    expect(moment).toBeLessThan(MOMENTS_MAX);
    const orgId = await ledgerOf(2);
    await rig.sealer().sealDue();
    await ledgerOf(3, 2, orgId);
    const database = new CrashingDatabase(rig.db.database, moment);
    await rig
      .sealer(database.asDatabase)
      .sealDue()
      .catch(() => undefined);
    expect((await rig.verifier().verify(orgId)).broken).toBeNull();
    if (database.died) crashes += 1;
    await rig.sealer().sealDue();
    expect(await rangesOf(orgId)).toEqual(['[1,3)', '[3,6)']);
    expect((await rig.verifier().verify(orgId)).broken).toBeNull();
    if (!database.died) break;
  }
  // Before and after each of: the list, the transaction, the lock, the last seal, the entries, the insert.
  expect(crashes).toBeGreaterThanOrEqual(12);
});

test('sealers and writers at the same time make one chain', async () => {
  const organizations = [await ledgerOf(1), await ledgerOf(1), await ledgerOf(1)];
  const others = await Promise.all([rig.db.connect(), rig.db.connect()]);
  try {
    const writing = organizations.map(async (orgId) => {
      for (let n = 1; n < 40; n += 1) await ledgerOf(1, n, orgId);
    });
    const sealing = [rig.db.database, ...others].map(async (database) => {
      for (let n = 0; n < 15; n += 1) {
        expect((await rig.sealer(database).sealDue()).failed).toBe(0);
      }
    });
    await Promise.all([...writing, ...sealing]);
    await rig.sealer().sealDue();
    for (const orgId of organizations) {
      expect(await rig.verifier().verify(orgId)).toMatchObject({
        entries: 40,
        sealedEntries: 40,
        broken: null,
      });
    }
  } finally {
    await Promise.all(others.map((database) => database.close()));
  }
});

test('more than one seal can hold is sealed in several, at once', async () => {
  const orgId = await ledgerOf(5_003);
  expect(await rig.sealer().seal(orgId)).toEqual({ seals: 2, entries: 5_003 });
  expect(await rangesOf(orgId)).toEqual(['[1,5001)', '[5001,5004)']);
});

describe('an entry that somebody took away', () => {
  test('is not sealed over, and holds up no other organization', async () => {
    const [orgId, other] = [await ledgerOf(6), await ledgerOf(2)];
    await rig.tampered(orgId, ['DELETE FROM savings_ledger WHERE seq = 4'], async (database) => {
      await expect(rig.sealer(database).seal(orgId)).rejects.toThrow(LedgerGapError);
    });
    await rig.db.owner.transaction(async (q) => {
      await q.query(`SELECT set_config('shunt.org_id', $1, true)`, [orgId]);
      await q.query('ALTER TABLE savings_ledger DISABLE TRIGGER USER');
      await q.query('DELETE FROM savings_ledger WHERE seq = 4');
      await q.query('ALTER TABLE savings_ledger ENABLE TRIGGER USER');
    });
    expect(await rig.sealer().sealDue()).toMatchObject({ failed: 1 });
    expect(await rangesOf(orgId)).toEqual([]);
    expect(await rangesOf(other)).toEqual(['[1,3)']);
  });
});
