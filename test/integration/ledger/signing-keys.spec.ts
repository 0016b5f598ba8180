import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../../src/cli/session.js';
import { ledgerCommands } from '../../../src/cli/verify-ledger.js';
import { LedgerExport } from '../../../src/modules/ledger/ledger-csv.js';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { keyIdOf } from '../../../src/modules/ledger/ledger-heads.js';
import { LedgerVerifier } from '../../../src/modules/ledger/ledger-verifier.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { forge } from './forged-ledger.js';
import { ledgerRig, newSigner, type LedgerRig } from './ledger-rig.js';
import { variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
let orgId: string;
/** Entries 1-6 are under a seal of the rig's key, 7-12 under one of the key after it, 13 under none yet. */
const next = newSigner();
let oldPem: string;
let nextPem: string;

beforeAll(async () => {
  rig = await ledgerRig();
  oldPem = rig.file('old.pem', rig.signer.publicKey);
  nextPem = rig.file('next.pem', next.publicKey);
  ({ orgId } = await rig.db.createTenant({ name: 'Acme' }));
  const entries = Array.from({ length: 13 }, (_, n) => variedEntryOf(orgId, n));
  await rig.append(orgId, entries.slice(0, 6));
  await rig.sealer().sealDue();
  await rig.append(orgId, entries.slice(6, 12));
  await sealerOf(next).sealDue();
  await rig.append(orgId, entries.slice(12));
});
afterAll(() => rig?.close());

function sealerOf(signer: Signer): LedgerSealer {
  return new LedgerSealer(rig.db.database, signer, systemClock, createLogger('silent'));
}

async function exportedBy(signer: Signer, database: Database = rig.db.database): Promise<string> {
  let text = '';
  for await (const part of new LedgerExport(database, signer, systemClock).csv(orgId)) text += part;
  return text;
}

function command(options: Record<string, string | readonly string[]>) {
  const session = {
    organizations: new OrganizationService(rig.db.database, rig.db.secretBox, systemClock),
    ledgerVerifier: new LedgerVerifier(rig.db.database, next.publicKey),
  } as unknown as Session;
  return ledgerCommands[0]!.run(session, { options, positionals: [] });
}

describe('a ledger that somebody wrote anew without the key', () => {
  test('holds for nobody who has the key, though every amount, hash and link follows', async () => {
    const forger = newSigner();
    await rig.tampered(orgId, [], async (database) => {
      await forge(database, orgId, forger);
      const csv = await exportedBy(forger, database);
      // As good as the forger can make it: with his own key all of it holds.
      const forgerPem = rig.file('forger.pem', forger.publicKey);
      expect(rig.scriptWithKeys(csv, [forgerPem])).toMatchObject({ exitCode: 0, entries: 13 });
      expect(rig.scriptWithKeys(csv, [oldPem, nextPem])).toMatchObject({
        exitCode: 1,
        holds: false,
        signatures_checked: {},
        first_difference: { row: 'seal', seq: '1', field: 'key_id' },
      });
      const { broken } = await rig.verifier(database).verify(orgId, null, [next.publicKey]);
      expect(broken).toEqual({ fault: 'unknown_key', in: 'seal', seq: 1, field: 'key_id' });
    });
  });

  test('is found by its end alone where nothing is under seal', async () => {
    const forger = newSigner();
    const unsealed = ['DELETE FROM seals'];
    const csv = await rig.tampered(orgId, unsealed, (database) => exportedBy(forger, database));
    expect(rig.scriptWithKeys(csv, [oldPem, nextPem])).toMatchObject({
      exitCode: 1,
      entries: 13,
      first_difference: { row: 'end', field: 'key_id' },
    });
  });

  test('cannot name the key without having it, nor leave key or signature out', async () => {
    const honest = await exportedBy(next);
    const nextId = keyIdOf(next.publicKey);
    const ofForger = await exportedBy(newSigner());
    const lines = (csv: string): string[] => csv.trimEnd().split('\n');
    const withEnd = (end: string): string => [...lines(honest).slice(0, -1), end, ''].join('\n');
    const forgedEnd = lines(ofForger).at(-1)!;
    const field = (end: string) =>
      rig.scriptWithKeys(withEnd(end), [oldPem, nextPem]).first_difference?.field;
    expect(field(forgedEnd)).toBe('key_id');
    expect(field(forgedEnd.replace(/[0-9a-f]{16}$/, nextId))).toBe('signature');
    expect(field(forgedEnd.replace(/[0-9a-f]{16}$/, ''))).toBe('key_id');
    expect(field(forgedEnd.replace(/[^,]{86}(?=,[0-9a-f]{16}$)/, ''))).toBe('signature');
  });

  test('is not called genuine without a key: it says that nothing shows who wrote it', async () => {
    const csv = await exportedBy(newSigner());
    const said = rig.words(csv);
    expect(said).toContain('Signatures: NOT CHECKED, no --public-key was given');
    expect(said).toContain('Who wrote them was not checked.');
    expect(said).not.toContain('Everything holds');
    expect(rig.scriptWithKeys(csv, [])).toMatchObject({
      holds: true,
      signatures: 'not checked: no public key given',
    });
  });
});

describe('a ledger whose signing key was changed', () => {
  test('holds for whoever gives the keys from before too, and says which key signed how much', async () => {
    const csv = await exportedBy(next);
    const both = rig.scriptWithKeys(csv, [nextPem, oldPem]);
    const [oldId, nextId] = [rig.signer, next].map(({ publicKey }) => keyIdOf(publicKey));
    expect(both).toMatchObject({
      exitCode: 0,
      signatures: 'checked',
      signatures_checked: { [oldId!]: 1, [nextId!]: 2 },
    });
    const said = rig.words(csv, '--public-key', oldPem, '--public-key', nextPem);
    expect(said).toContain(`1 of key ${oldId}, 2 of key ${nextId} checked`);
    expect(said).toContain('Everything holds: amounts, hashes, seals, signatures.');
  });

  test('does not hold with one of the keys alone, at the first row of the other', async () => {
    const csv = await exportedBy(next);
    expect(rig.scriptWithKeys(csv, [nextPem]).first_difference).toMatchObject({
      row: 'seal',
      seq: '1',
      field: 'key_id',
      what: 'is signed with a key that was not given',
    });
    expect(rig.scriptWithKeys(csv, [oldPem]).first_difference).toMatchObject({ seq: '2' });
  });

  test('holds in the database once the command is given the key from before', async () => {
    const alone = await command({});
    expect(alone.exitCode).toBe(1);
    expect(alone.text).toContain('BROKEN: seal 1 is signed with another key');
    expect(alone.text).toContain('1 of 1 ledger broken');
    const both = await command({ 'public-key': [oldPem] });
    expect(both.exitCode).toBeUndefined();
    expect(both.text).toContain('The one ledger holds, 13 entries');
    expect((await command({ org: 'Acme', 'public-key': [oldPem] })).exitCode).toBeUndefined();
  });

  test('is not looked at with a file that is no public key', async () => {
    const none = rig.file('none.pem', 'no key');
    await expect(command({ 'public-key': [none] })).rejects.toThrow(/not an Ed25519 public key/);
    await expect(command({ 'public-key': ['/none.pem'] })).rejects.toThrow(/cannot be read/);
    const csv = await exportedBy(next);
    expect(() => rig.scriptWithKeys(csv, [none])).toThrow(/not an Ed25519 public key/);
  });
});
