import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Session } from '../../../src/cli/session.js';
import { ledgerExportCommands } from '../../../src/cli/ledger-export.js';
import { ledgerCommands } from '../../../src/cli/verify-ledger.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { LedgerExport } from '../../../src/modules/ledger/ledger-csv.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
let orgId: string;
beforeAll(async () => {
  rig = await ledgerRig();
  ({ orgId } = await rig.db.createTenant({ name: 'Acme' }));
  await rig.db.createTenant({ name: 'Empty' });
  await rig.append(
    orgId,
    Array.from({ length: 7 }, (_, n) => variedEntryOf(orgId, n)),
  );
  await rig.sealer().sealDue();
});
afterAll(() => rig?.close());

function run(options: Record<string, string>) {
  const session = {
    organizations: new OrganizationService(rig.db.database, rig.db.secretBox, systemClock),
    ledgerVerifier: rig.verifier(),
  } as unknown as Session;
  const [command] = ledgerCommands;
  return command!.run(session, { options, positionals: [] });
}

test('the command says that all ledgers hold, and what they add up to', async () => {
  const { text, json, exitCode } = await run({});
  expect(exitCode).toBeUndefined();
  expect(text).toContain('All 2 ledgers hold, 7 entries');
  expect(text).toMatch(/Acme +7 +7 +1:[0-9a-f]{12}\.\.\./);
  // Amounts are too large for numbers of JSON.
  const { verdicts } = JSON.parse(JSON.stringify(json)) as {
    verdicts: { orgId: string; totals: { real: { savingsNanoUsd: string } } }[];
  };
  const { totals } = await rig.verifier().verify(orgId);
  expect(verdicts.find((one) => one.orgId === orgId)?.totals.real.savingsNanoUsd).toBe(
    String(totals.real.savingsNanoUsd),
  );
});

test('the command goes through an earlier head, by name or id, and exits with 1 where the chain does not', async () => {
  const { seal, hash } = (await rig.heads().current(orgId))!;
  expect((await run({ org: 'Acme', head: `${seal}:${hash}` })).exitCode).toBeUndefined();
  const other = await run({ org: orgId, head: `${seal}:${'0'.repeat(64)}` });
  expect(other.exitCode).toBe(1);
  expect(other.text).toContain(
    'BROKEN: head 1 is not where the ledger ends or went through (hash)',
  );
  const later = await run({ org: orgId, head: `9:${hash}` });
  expect(later.text).toContain('BROKEN: seal 2 is missing');
  await expect(run({ org: orgId, head: 'yesterday' })).rejects.toThrow(/<seal>:<hash>/);
  const nobody = '00000000-0000-4000-8000-000000000000';
  await expect(run({ org: nobody })).rejects.toThrow(/no ledger/);
});

test('a ledger is written to a file that the script alone verifies, once, and the trail tells of it', async () => {
  const session = {
    organizations: new OrganizationService(rig.db.database, rig.db.secretBox, systemClock),
    ledgerExport: new LedgerExport(rig.db.database, rig.signer, systemClock),
    actor: { kind: 'command', name: 'test' },
  } as unknown as Session;
  const [command] = ledgerExportCommands;
  const out = `${rig.file('empty', '')}-ledger.csv`;
  const written = () => command!.run(session, { options: { org: 'Acme', out }, positionals: [] });
  await written();
  expect(rig.script(readFileSync(out, 'utf8'))).toMatchObject({ exitCode: 0 });
  await expect(written()).rejects.toThrow(/exists already/);
  const [entry] = await new AuditTrail(rig.db.database).list(orgId, { limit: 1 });
  expect(entry).toMatchObject({ action: 'ledger.exported', actorKind: 'command' });
});
