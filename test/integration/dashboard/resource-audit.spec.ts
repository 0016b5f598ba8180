import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { INSTALLATION_ID, type AuditEntry } from '../../../src/modules/audit/audit-entry.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { RekeyService } from '../../../src/modules/bootstrap/rekey.service.js';
import { NegotiatedPriceService } from '../../../src/modules/catalog/negotiated-price.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { ProviderKeyService } from '../../../src/modules/provider-keys/provider-key.service.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';

const MEMBER: Actor = { kind: 'member', id: '0190c0de-0000-7000-8000-000000000001', role: 'admin' };
const OPERATOR: Actor = { kind: 'operator', name: 'Ada' };
const AT = '2026-11-20T12:00:00.123Z';
const clock = { nowMs: () => Date.parse(AT) };

let db: TestDatabase;
let tenant: TestTenant;
beforeAll(async () => {
  db = await testDatabase();
  tenant = await db.createTenant();
});
afterAll(() => db?.close());

/** What the work added to the trail, oldest first. */
async function added(work: () => Promise<unknown>, orgId = tenant.orgId): Promise<AuditEntry[]> {
  const trail = new AuditTrail(db.database);
  const [last] = await trail.list(orgId, { limit: 1 });
  await work();
  const entries = await trail.list(orgId, { limit: 100 });
  return entries.filter(({ seq }) => seq > (last?.seq ?? 0)).toReversed();
}

const detailsOf = (entry: AuditEntry | undefined): unknown =>
  JSON.parse(entry?.details ?? 'null') as unknown;

describe('a project key', () => {
  const keys = () => new ApiKeyService(db.database, clock);

  test('leaves who created, rotated and revoked it, when, and never the key itself', async () => {
    let secrets: string[] = [];
    let ids: string[] = [];
    const entries = await added(async () => {
      const fields = { projectId: tenant.projectId, name: 'Name of a customer' };
      const made = await keys().create(tenant.orgId, fields, MEMBER);
      if (made.kind !== 'issued') throw new Error(made.kind);
      const next = await keys().rotate(tenant.orgId, made.key.id, 0, MEMBER);
      if (next.kind !== 'issued') throw new Error(next.kind);
      await keys().revoke(tenant.orgId, next.key.id, OPERATOR);
      secrets = [made.token, next.token, made.key.preview, next.key.preview, fields.name];
      ids = [made.key.id, next.key.id];
    });
    const [first, second] = ids;
    expect(entries).toMatchObject([
      { action: 'api_key.created', subject: first, actorKind: 'member', actor: MEMBER.id, at: AT },
      { action: 'api_key.rotated', subject: first, newValue: second, actor: MEMBER.id },
      { action: 'api_key.revoked', subject: second, actorKind: 'operator', actor: 'Ada' },
    ]);
    expect(detailsOf(entries[0])).toEqual({ project_id: tenant.projectId, ends_at: null });
    expect(detailsOf(entries[1])).toEqual({ project_id: tenant.projectId, ends_at: AT });
    for (const secret of secrets) expect(JSON.stringify(entries)).not.toContain(secret);
  });

  test('that was not created, rotated or revoked leaves nothing', async () => {
    const other = await db.createTenant();
    const entries = await added(async () => {
      await keys().revoke(tenant.orgId, other.apiKeyId, MEMBER);
      await keys().rotate(tenant.orgId, other.apiKeyId, 0, MEMBER);
      await keys().create(tenant.orgId, { projectId: other.projectId, name: 'x' }, MEMBER);
    });
    expect(entries).toEqual([]);
  });

  test('of one project is listed apart from those of another', async () => {
    const projects = new ProjectService(db.database, clock);
    const made = await projects.create(tenant.orgId, { name: 'apart' }, MEMBER);
    if (made.kind !== 'saved') throw new Error(made.kind);
    const fields = { projectId: made.project.id, name: 'x' };
    const issued = await keys().create(tenant.orgId, fields, MEMBER);
    if (issued.kind !== 'issued') throw new Error(issued.kind);
    expect(await keys().list(tenant.orgId, made.project.id)).toEqual([issued.key]);
    expect((await keys().list(tenant.orgId)).length).toBeGreaterThan(1);
  });
});

test('a provider key leaves its provider and its id, never the key or its preview', async () => {
  const keys = new ProviderKeyService(db.database, db.secretBox, clock);
  const secrets = ['sk-first-0000000000001234', 'sk-second-000000000005678'];
  let ids: string[] = [];
  const entries = await added(async () => {
    const first = await keys.set(tenant.orgId, 'openai', secrets[0]!, MEMBER);
    const second = await keys.set(tenant.orgId, 'openai', secrets[1]!, MEMBER);
    expect(await keys.remove(tenant.orgId, 'openai', MEMBER)).toBe(true);
    expect(await keys.remove(tenant.orgId, 'openai', MEMBER)).toBe(false);
    ids = [first.id, second.id];
  });
  const [first, second] = ids;
  expect(entries).toMatchObject([
    { action: 'provider_key.set', subject: first, oldValue: null, newValue: first },
    { action: 'provider_key.set', subject: second, oldValue: first, newValue: second },
    { action: 'provider_key.removed', subject: second },
  ]);
  expect(entries.map(detailsOf)).toEqual(Array(3).fill({ provider: 'openai' }));
  const text = JSON.stringify(entries);
  for (const part of [...secrets, '1234"', '5678"', 'sk-...']) expect(text).not.toContain(part);
});

test('of provider keys that are set at the same time each replaces the one before, and one lives', async () => {
  const keys = new ProviderKeyService(db.database, db.secretBox, clock);
  const entries = await added(() =>
    Promise.all([1, 2, 3, 4, 5].map((n) => keys.set(tenant.orgId, 'groq', `gsk_${n}`, MEMBER))),
  );
  const [live, ...others] = await keys.list(tenant.orgId);
  expect(others).toEqual([]);
  expect(entries.map(({ oldValue }) => oldValue)).toEqual([
    null,
    ...entries.slice(0, -1).map(({ newValue }) => newValue),
  ]);
  expect(entries.at(-1)?.newValue).toBe(live?.id);
});

describe('a project', () => {
  const projects = () => new ProjectService(db.database, clock);

  test('leaves which of its settings changed, from what to what; of its name only that it changed', async () => {
    const changes = {
      name: 'Secret takeover',
      disabled: true,
      bodyLimitBytes: 1_000,
      allowedModels: ['gpt-5*'],
      // As it was.
      strict: false,
    };
    const [entry, ...others] = await added(async () => {
      const saved = await projects().update(tenant.orgId, tenant.projectId, changes, MEMBER);
      expect(saved).toMatchObject({ kind: 'saved', project: changes });
    });
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ action: 'project.changed', subject: tenant.projectId, at: AT });
    expect(detailsOf(entry)).toEqual({
      fields: ['name', 'disabled', 'body_limit_bytes', 'allowed_models'],
      changes: {
        disabled: { old: false, new: true },
        body_limit_bytes: { old: null, new: 1_000 },
        allowed_models: { old: null, new: ['gpt-5*'] },
      },
    });
    expect(JSON.stringify(entry)).not.toContain('Secret takeover');
  });

  test('that stays as it is leaves nothing', async () => {
    const entries = await added(async () => {
      await projects().update(tenant.orgId, tenant.projectId, { disabled: true }, MEMBER);
      await projects().update(tenant.orgId, tenant.projectId, {}, MEMBER);
    });
    expect(entries).toEqual([]);
  });

  test('whose lists are too long for the trail leaves how long they are', async () => {
    const allowedModels = Array.from({ length: 500 }, (_, i) => `${'m'.repeat(190)}-${i}`);
    const allowedPaths = Array.from({ length: 100 }, (_, i) => `openai:/${'p'.repeat(280)}/${i}`);
    const [entry] = await added(() =>
      projects().update(tenant.orgId, tenant.projectId, { allowedModels, allowedPaths }, MEMBER),
    );
    expect(detailsOf(entry)).toMatchObject({
      changes: {
        allowed_models: { old: ['gpt-5*'], new: { entries: 500 } },
        allowed_paths: { old: [], new: { entries: 100 } },
      },
    });
  });

  test('changes and is audited in one step: where the entry cannot be written, nothing changed', async () => {
    const unnamed = { ...MEMBER, id: '' };
    const changing = projects().update(tenant.orgId, tenant.projectId, { strict: true }, unnamed);
    await expect(changing).rejects.toMatchObject({ code: '23514' });
    expect(await projects().find(tenant.orgId, tenant.projectId)).toMatchObject({ strict: false });
    const creating = projects().create(tenant.orgId, { name: 'unaudited' }, unnamed);
    await expect(creating).rejects.toMatchObject({ code: '23514' });
    const names = (await projects().list(tenant.orgId)).map(({ name }) => name);
    expect(names).not.toContain('unaudited');
  });
});

describe('an organization', () => {
  const organizations = () => new OrganizationService(db.database, db.secretBox, clock);

  test('leaves its creation, its changes and what an operator set', async () => {
    const { id } = await organizations().create({ name: 'Name of a customer' }, MEMBER);
    const entries = await added(async () => {
      const changes = {
        name: 'Another name',
        retentionClass: 'd30',
        allowedProviders: [],
      } as const;
      await organizations().update(id, changes, MEMBER);
      await organizations().update(id, changes, MEMBER);
      await organizations().setRequestsPerMinute(id, 5, OPERATOR);
      await organizations().setRequestsPerMinute(id, 5, OPERATOR);
      await organizations().setRequestsPerMinute(id, null, OPERATOR);
    }, id);
    expect(entries).toMatchObject([
      { action: 'organization.changed', actor: MEMBER.id, at: AT },
      { action: 'organization.limits_changed', actor: 'Ada', oldValue: null, newValue: '5' },
      { action: 'organization.limits_changed', actor: 'Ada', oldValue: '5', newValue: null },
    ]);
    expect(detailsOf(entries[0])).toEqual({
      fields: ['name', 'retention_class', 'allowed_providers'],
      changes: {
        retention_class: { old: 'd90', new: 'd30' },
        allowed_providers: { old: null, new: [] },
      },
    });
    const all = await new AuditTrail(db.database).list(id);
    expect(all.at(-1)).toMatchObject({ seq: 1, action: 'organization.created', actor: MEMBER.id });
    expect(JSON.stringify(all)).not.toMatch(/Name of a customer|Another name/);
    expect(await organizations().find(id)).toMatchObject({ name: 'Another name', hold: false });
  });

  test('that is not there is not changed, and leaves nothing', async () => {
    const nobody = '0190c0de-0000-7000-8000-00000000dead';
    const entries = await added(async () => {
      expect(await organizations().update(nobody, { name: 'x' }, MEMBER)).toBeNull();
      expect(await organizations().setRequestsPerMinute(nobody, 1, OPERATOR)).toBeNull();
    }, nobody);
    expect(entries).toEqual([]);
  });

  test('leaves who was added to it, as an id and a role', async () => {
    const userId = '0190c0de-0000-7000-8000-0000000000aa';
    await db.database.query(
      `INSERT INTO users (id, email, password_hash) VALUES ($1, 'somebody@example.test', 'x')`,
      [userId],
    );
    const entries = await added(() =>
      organizations().addMember(tenant.orgId, userId, 'admin', OPERATOR),
    );
    expect(entries).toMatchObject([
      { action: 'member.joined', subject: userId, newValue: 'admin', actor: 'Ada' },
    ]);
    expect(JSON.stringify(entries)).not.toContain('somebody@');
  });
});

test('an agreed price leaves the model, the day and what was priced; the amounts stay with the organization', async () => {
  const prices = new NegotiatedPriceService(db.database, clock);
  const [entry] = await added(() =>
    prices.enter(
      tenant.orgId,
      {
        provider: 'openai',
        model: 'gpt-5.4',
        effectiveFromMs: Date.UTC(2026, 11, 1),
        prices: { inputTokens: 1_234_567n },
        tiers: [],
      },
      MEMBER,
    ),
  );
  expect(entry).toMatchObject({ action: 'price.agreed', subject: 'openai:gpt-5.4', at: AT });
  expect(detailsOf(entry)).toEqual({
    from: '2026-12-01',
    revision: 0,
    prices: ['inputTokens'],
    tiers: 0,
  });
  const [entered] = await prices.list(tenant.orgId);
  expect(entered).toMatchObject({ enteredBy: `member ${MEMBER.id}` });
});

test('a change of the encryption key is in the installation’s own trail, with counts', async () => {
  const secretBox = new SecretBox({ current: randomBytes(32), previous: null });
  const command: Actor = { kind: 'command', name: 'root' };
  const entries = await added(
    () => new RekeyService(db.database, secretBox, clock).run(command),
    INSTALLATION_ID,
  );
  expect(entries).toMatchObject([
    { action: 'encryption.rekeyed', actorKind: 'command', actor: 'root', at: AT },
  ]);
  expect(detailsOf(entries[0])).toMatchObject({ unreadable: expect.any(Number) as number });
});
