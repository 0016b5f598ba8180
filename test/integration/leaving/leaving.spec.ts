import { createHash, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { membershipsWithin } from '../../../src/modules/accounts/audit-for-user.js';
import { AuditHeads, type SignedHead } from '../../../src/modules/audit/audit-heads.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { DeletionService } from '../../../src/modules/leaving/deletion.service.js';
import { OrganizationExport } from '../../../src/modules/leaving/organization-export.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { isGenuineHead } from '../../support/genuine-head.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';

let db: TestDatabase;
let tenant: TestTenant;
let neighbour: TestTenant;
let deletions: DeletionService;
const secrets = { openai: 'sk-leaving-000000000000000000' };
const owner = {
  kind: 'member',
  id: '00000000-0000-4000-8000-000000000001',
  role: 'owner',
} as const;

beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

async function furnish(name: string): Promise<TestTenant> {
  const made = await db.createTenant({ name, providerKeys: secrets });
  const user = await new UserService(db.database).create(`${name}@leaving.test`, 'a-long-password');
  if (user.kind !== 'created') throw new Error(user.kind);
  const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
  await organizations.addMember(made.orgId, user.userId, 'owner', owner);
  return made;
}

/** Past the door of the runtime, as time alone would do it. */
async function letTimePass(orgId: string): Promise<void> {
  await db.owner.tenant(orgId, (q) =>
    q.query(`UPDATE organizations SET deletion_due_at = now() - interval '1 second'`),
  );
}

/** Rows of an organization in every table that has its column, as the owner of the schema counts them. */
async function rowsOf(orgId: string): Promise<Record<string, number>> {
  const tables = await db.owner.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND a.attname = 'org_id' AND NOT a.attisdropped`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await db.owner.tenant(orgId, (q) =>
      q.query<{ count: string }>(`SELECT count(*) FROM ${name} WHERE org_id = $1`, [orgId]),
    );
    if (Number(row!.count) > 0) counts[name] = Number(row!.count);
  }
  return counts;
}

const addRecord = (orgId: string, { projectId, apiKeyId }: TestTenant): Promise<unknown> =>
  db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO request_log (org_id, started_at, request_id, retention_class, project_id, api_key_id, provider,
         operation, streamed, decision, mode, synthetic, revision, outcome, metering, pricing, tags, request_bytes,
         response_bytes, client_retry, usage, cost_nano_usd, frozen_prices, price_version)
       VALUES ($1, now(), uuidv7(), 'd90', $2, $3, 'openai', 'chat', false, 'passthrough', 'observing', false, 1,
         'completed', 'reported', 'priced', '{}', 1, 1, 0, '{"input": 1}', 12345678901234567890, '{}', 'v')`,
      [orgId, projectId, apiKeyId],
    ),
  );

describe('deletion', () => {
  beforeAll(async () => {
    tenant = await furnish('leaver');
    neighbour = await furnish('neighbour');
    for (const one of [tenant, neighbour])
      for (let i = 0; i < 5; i += 1) await addRecord(one.orgId, one);
    deletions = new DeletionService(
      db.database,
      systemClock,
      createLogger('silent'),
      async () => false,
    );
  });

  test("needs the organization's name, and a subscription that is not paid", async () => {
    expect(await deletions.request(tenant.orgId, 'Leaver', owner)).toEqual({
      kind: 'not_confirmed',
    });
    const paying = new DeletionService(
      db.database,
      systemClock,
      createLogger('silent'),
      async () => true,
    );
    expect(await paying.request(tenant.orgId, 'leaver', owner)).toEqual({ kind: 'still_paid' });
    expect(await deletions.dueAt(tenant.orgId)).toBeNull();
  });

  test('waits seven days, whatever the runtime asks for, and can be withdrawn until then', async () => {
    const asked = await deletions.request(tenant.orgId, 'leaver', owner);
    if (asked.kind !== 'requested') throw new Error(asked.kind);
    const days = (asked.dueAt.getTime() - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(6.99);
    expect(days).toBeLessThan(7.01);
    expect(await deletions.request(tenant.orgId, 'leaver', owner)).toEqual(asked);
    expect(await deletions.eraseDue()).toEqual({
      organizations: 0,
      records: 0,
      stillPaid: 0,
      failed: 0,
    });
    const [early] = await db.database.tenant(tenant.orgId, (q) =>
      q.query(
        `SELECT erase_organization($1) AS erased, erase_organization_rows($1, 10) AS rows,
                erase_organization_records($1, 10) AS records`,
        [tenant.orgId],
      ),
    );
    expect(early).toEqual({ erased: false, rows: 0, records: 0 });
    const sooner = db.database.tenant(tenant.orgId, (q) =>
      q.query(`UPDATE organizations SET deletion_due_at = now()`),
    );
    await expect(sooner).rejects.toMatchObject({ code: '42501' });
    expect(await deletions.withdraw(tenant.orgId, owner)).toBe(true);
    expect(await deletions.withdraw(tenant.orgId, owner)).toBe(false);
    expect((await rowsOf(tenant.orgId))['request_log']).toBe(5);
  });

  test('then erases everything but the trail, shreds the key, and touches no neighbour', async () => {
    const before = await rowsOf(neighbour.orgId);
    await deletions.request(tenant.orgId, 'leaver', owner);
    await letTimePass(tenant.orgId);
    expect(await deletions.eraseDue()).toEqual({
      organizations: 1,
      records: 5,
      stillPaid: 0,
      failed: 0,
    });
    const left = await rowsOf(tenant.orgId);
    expect(Object.keys(left).toSorted()).toEqual(['audit_heads', 'audit_log', 'tenancy_changes']);
    const [organization] = await db.database.tenant(tenant.orgId, (q) =>
      q.query(
        'SELECT name, hash_key_sealed, allowed_models, erased_at IS NOT NULL AS erased FROM organizations',
      ),
    );
    expect(organization).toEqual({
      name: 'Erased organization',
      hash_key_sealed: null,
      allowed_models: null,
      erased: true,
    });
    expect(await new UserService(db.database).findByEmail('leaver@leaving.test')).toBeNull();
    expect(await new UserService(db.database).findByEmail('neighbour@leaving.test')).not.toBeNull();
    expect(await rowsOf(neighbour.orgId)).toEqual(before);
    const { length: held } = await db.database.query('SELECT * FROM find_principal($1)', [
      createHash('sha256').update(tenant.apiKey).digest(),
    ]);
    expect(held).toBe(0);
  });

  test('and the trail of an erased organization still verifies, its end the erasure', async () => {
    const verdict = await new AuditVerifier(db.database).verify(tenant.orgId);
    expect(verdict).toMatchObject({ broken: null });
    const [last] = await new AuditTrail(db.database).list(tenant.orgId, { limit: 1 });
    expect(last).toMatchObject({ action: 'organization.erased', actorKind: 'job' });
  });

  test('records that come in late are erased as well, and a second run changes nothing else', async () => {
    await addRecord(tenant.orgId, tenant);
    expect(await deletions.eraseDue()).toEqual({
      organizations: 0,
      records: 1,
      stillPaid: 0,
      failed: 0,
    });
    expect(await deletions.eraseDue()).toEqual({
      organizations: 0,
      records: 0,
      stillPaid: 0,
      failed: 0,
    });
  });

  test('somebody who belongs to another organization too keeps the account', async () => {
    const leaving = await furnish('second-leaver');
    const userId = await new UserService(db.database).findByEmail('neighbour@leaving.test');
    const organizations = new OrganizationService(db.database, db.secretBox, systemClock);
    await organizations.addMember(leaving.orgId, userId!, 'admin', owner);
    await deletions.request(leaving.orgId, 'second-leaver', owner);
    await letTimePass(leaving.orgId);
    expect((await deletions.eraseDue()).organizations).toBe(1);
    expect(await new UserService(db.database).findByEmail('neighbour@leaving.test')).toBe(userId);
    const kept = await db.database.transaction((q) => membershipsWithin(q, userId!));
    expect(kept).toHaveLength(1);
  });
});

describe('export', () => {
  test('holds every row of the organization, exact amounts, no secret, and proves itself complete', async () => {
    const exporting = await furnish('exporter');
    for (let i = 0; i < 1_003; i += 1) await addRecord(exporting.orgId, exporting);
    await db.database.query(
      `INSERT INTO users (id, email, password_hash)
       SELECT gen_random_uuid(), 'crowd-' || i || '@leaving.test', 'none' FROM generate_series(1, 1000) AS i`,
    );
    await db.database.tenant(exporting.orgId, (q) =>
      q.query(
        `INSERT INTO memberships (org_id, user_id, role)
         SELECT $1, id, 'member' FROM users WHERE email LIKE 'crowd-%'`,
        [exporting.orgId],
      ),
    );
    const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
    const heads = new AuditHeads(db.database, new Signer(pem.toString()), systemClock);
    const service = new OrganizationExport(db.database, systemClock, heads);
    let text = '';
    for await (const chunk of service.lines(exporting.orgId, owner)) text += chunk;
    const lines = text.trimEnd().split('\n');
    const end = JSON.parse(lines.pop()!) as {
      rows: Record<string, number>;
      sha256: string;
      audit_head: SignedHead;
    };
    expect(isGenuineHead(heads.publicKey, end.audit_head)).toBe(true);
    const body = lines.map((line) => `${line}\n`).join('');
    expect(createHash('sha256').update(body).digest('hex')).toBe(end.sha256);
    const { organizations, users, ...rows } = end.rows;
    expect({ organizations, users }).toEqual({ organizations: 1, users: 1_001 });
    const {
      tenancy_changes: _changes,
      audit_heads: _heads,
      ...stored
    } = await rowsOf(exporting.orgId);
    expect(Object.fromEntries(Object.entries(rows).filter(([, count]) => count > 0))).toEqual(
      stored,
    );
    expect(body).toContain('"cost_nano_usd": "12345678901234567890"');
    expect(body).toContain('exporter@leaving.test');
    expect(body).toContain('organization.exported');
    expect(new Set(body.match(/crowd-\d+@/g)).size).toBe(1_000);
    expect(body).not.toMatch(/sk-leaving|sealed|key_hash|password/);
    expect(body).not.toContain(neighbour.orgId);
  });
});

test('nobody erases an organization from the transaction of another', async () => {
  for (const call of [
    'request_organization_deletion($1)',
    'withdraw_organization_deletion($1)',
    'erase_organization($1)',
    'erase_organization_rows($1, 10)',
    'erase_organization_records($1, 10)',
  ]) {
    const attempt = db.database.tenant(neighbour.orgId, (q) =>
      q.query(`SELECT ${call}`, [tenant.orgId]),
    );
    await expect(attempt, call).rejects.toMatchObject({ code: '42501' });
  }
  const unscoped = withConnection({ url: db.runtimeUrl, statementTimeoutMs: 5_000 }, (q) =>
    q.query('SELECT erase_organization($1)', [neighbour.orgId]),
  );
  await expect(unscoped).rejects.toMatchObject({ code: '42501' });
});
