import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import type { Session } from '../../../src/cli/session.js';
import { auditCommands } from '../../../src/cli/verify-audit.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditHeads } from '../../../src/modules/audit/audit-heads.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { tamper } from './trail.js';

let db: TestDatabase;
let acme: TestTenant;
let session: Session;

beforeAll(async () => {
  db = await testDatabase();
  acme = await db.createTenant({ name: 'Acme', status: 'active' });
  await db.createTenant({ name: 'Bolt' });
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  // What the command takes of a session, and nothing else of it.
  session = {
    organizations: new OrganizationService(db.database, db.secretBox, systemClock),
    auditTrail: new AuditTrail(db.database),
    auditHeads: new AuditHeads(db.database, new Signer(pem.toString()), systemClock),
    auditVerifier: new AuditVerifier(db.database),
  } as unknown as Session;
});
afterAll(() => db.close());

function run(options: Arguments['options'] = {}) {
  return auditCommands[0]!.run(session, { options, positionals: [] });
}

test('all chains are verified, the own one of the installation first', async () => {
  const output = await run();
  expect(output.exitCode).toBeUndefined();
  expect(output.json).toMatchObject({ chains: 3, broken: 0 });
  expect(output.text.split('\n')[1]).toMatch(/^00000000-.*\(installation\).*holds$/);
  expect(output.text).toMatch(/Acme .*active .*holds/);
  expect(output.text).toMatch(/All 3 chains hold, \d+ entries\./);
});

test('one organization is chosen by its name or id, and held to a head that somebody kept', async () => {
  const { seq, hash } = await session.auditHeads.signed(acme.orgId);
  for (const org of ['Acme', acme.orgId, acme.orgId.toUpperCase()]) {
    const output = await run({ org, head: `${seq}:${hash}` });
    expect(output.json).toMatchObject({ chains: 1, broken: 0, entries: seq });
  }
  const output = await run({ org: 'Acme', head: `${seq - 1}:${hash}` });
  expect(output).toMatchObject({
    exitCode: 1,
    json: { broken: 1, verdicts: [{ broken: { fault: 'head_mismatch', seq: seq - 1 } }] },
  });
  expect((await run({ org: 'Acme', head: `${seq + 1}:${hash}` })).text).toContain(
    `BROKEN at ${seq + 1}: entry missing`,
  );
  expect((await run({ org: INSTALLATION_ID })).json).toMatchObject({ chains: 1, broken: 0 });
});

test('what cannot be understood is refused', async () => {
  for (const head of ['', '7', '7:abc', `x:${'0'.repeat(64)}`, `-1:${'0'.repeat(64)}`]) {
    await expect(run({ org: 'Acme', head })).rejects.toMatchObject({ exitCode: 2 });
  }
  await expect(run({ org: 'Nobody' })).rejects.toThrow(/No organization/);
  await expect(run({ org: 'ffffffff-0000-4000-8000-000000000009' })).rejects.toThrow(
    /no organization/i,
  );
  await expect(run({ head: `1:${'0'.repeat(64)}` })).rejects.toThrow(/--org/);
});

test('the first broken entry is named, before all that holds, and the exit code says so', async () => {
  await tamper(db, (q) =>
    q.query(`UPDATE audit_log SET actor = 'x' WHERE org_id = $1 AND seq >= 4`, [acme.orgId]),
  );
  const output = await run();
  expect(output.exitCode).toBe(1);
  expect(output.json).toMatchObject({
    chains: 3,
    broken: 1,
    verdicts: [{ orgId: acme.orgId, verified: 3, broken: { fault: 'changed', seq: 4 } }, {}, {}],
  });
  expect(output.text.split('\n')[1]).toMatch(/Acme .*BROKEN at 4: entry changed$/);
  expect(output.text).toContain('1 of 3 chains broken');
});
