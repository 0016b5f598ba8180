import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import type { Command } from '../../../src/cli/command.js';
import { keyCommands } from '../../../src/cli/keys.js';
import { memberCommands } from '../../../src/cli/members.js';
import { orgCommands } from '../../../src/cli/orgs.js';
import { projectCommands } from '../../../src/cli/projects.js';
import { providerKeyCommands } from '../../../src/cli/provider-keys.js';
import { commandActor, type Session } from '../../../src/cli/session.js';
import { loadConfig } from '../../../src/config/app-config.js';
import { membershipsWithin } from '../../../src/modules/accounts/audit-for-user.js';
import { PrincipalDirectory } from '../../../src/modules/api-keys/principal-directory.js';
import { bootstrap, type BootstrapContext } from '../../../src/modules/bootstrap/bootstrap.js';
import { RekeyService } from '../../../src/modules/bootstrap/rekey.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { ProviderKeyService } from '../../../src/modules/provider-keys/provider-key.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { verifyPassword } from '../../../src/platform/crypto/password.js';
import { Database } from '../../../src/platform/postgres/database.js';
import { migrate } from '../../../src/platform/postgres/migrate.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { createServices } from '../../../src/services.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

const logger = createLogger('silent');
const closers: (() => Promise<void>)[] = [];
let keepServer: TestDatabase;

beforeAll(async () => {
  keepServer = await testDatabase();
});
const dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-cli-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

afterAll(async () => {
  for (const close of closers.toReversed()) await close();
  await keepServer.close();
});

async function freshDatabase(options?: { migrated: boolean }): Promise<TestDatabase> {
  const db = await testDatabase(options);
  closers.push(() => db.close());
  return db;
}

function context(db: TestDatabase, config: Partial<BootstrapContext['config']> = {}) {
  return {
    database: db.database,
    secretBox: db.secretBox,
    clock: systemClock,
    config: {
      production: false,
      secrets: {
        sessionSecret: 's',
        signingKey: 'k',
        adminSecret: 'operator-secret',
        adminTotpSecret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
      },
      bootstrap: { email: null, password: null, projectKey: null, providerKeys: {} },
      ...config,
    },
  } satisfies BootstrapContext;
}

test('two replicas that start at once migrate once', async () => {
  const db = await freshDatabase({ migrated: false });
  await Promise.all([1, 2, 3].map(() => migrate({ ...db, logger })));
  const again = db.owner.query<{ n: number; distinct: number }>(
    'SELECT count(*)::int AS n, count(DISTINCT name)::int AS distinct FROM schema_migrations',
  );
  const [row] = await again;
  expect(row?.n).toBeGreaterThan(0);
  expect(row?.n).toBe(row?.distinct);
});

test('with one login for everything, sessions still act as the runtime role', async () => {
  const db = await freshDatabase({ migrated: false });
  await migrate({ ownerUrl: db.ownerUrl, runtimeUrl: db.ownerUrl, logger });
  const database = await Database.connect({ url: db.ownerUrl, logger });
  closers.push(() => database.close());
  expect(await database.query('SELECT current_user::text AS role')).toEqual([
    { role: 'shunt_runtime' },
  ]);
  await expect(database.query('ALTER TABLE projects DISABLE ROW LEVEL SECURITY')).rejects.toThrow();
  await expect(database.assertSafeRuntimeLogin()).rejects.toThrow(/DATABASE_MIGRATION_URL/);
});

test('a server that cannot be reached is an error that names no password', async () => {
  const url = 'postgres://shunt:hunter2@127.0.0.1:1/shunt';
  const failure = await Database.connect({ url, logger }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'ECONNREFUSED', unavailable: true });
  expect(String((failure as Error).stack)).not.toContain('hunter2');
});

test('the first start makes an owner, an organization, a project, a key and an operator, and shows them once', async () => {
  const db = await freshDatabase();
  const made = await bootstrap(context(db));
  if (made?.kind !== 'created' || !made.secrets) throw new Error('nothing made');
  const users = new UserService(db.database);
  const userId = await users.findByEmail(made.ownerEmail);
  const [owner] = await db.database.query<{ password_hash: string }>(
    'SELECT password_hash FROM users WHERE id = $1',
    [userId],
  );
  expect(await verifyPassword(made.secrets.ownerPassword, owner?.password_hash ?? null)).toBe(true);
  const memberships = await db.database.transaction((q) => membershipsWithin(q, userId ?? ''));
  expect(memberships).toEqual([{ orgId: made.orgId, role: 'owner' }]);
  const directory = new PrincipalDirectory(db.database, db.secretBox, systemClock, logger, {
    production: false,
  });
  const found = await directory.find(made.secrets.projectKey);
  expect(found).toMatchObject({ kind: 'known', principal: { orgId: made.orgId, sandbox: true } });
  const [operator] = await db.database.query<{ name: string; secret_hash: string }>(
    'SELECT name, secret_hash FROM operators',
  );
  expect(operator?.name).toBe(made.secrets.operatorName);
  expect(await verifyPassword('operator-secret', operator?.secret_hash ?? null)).toBe(true);
  expect(made.secrets.operatorTotpUri).toMatch(/^otpauth:\/\/totp\/.*JBSWY3DPEHPK3PXP/);
  expect(await bootstrap(context(db))).toBeNull();
});

test('of two replicas that start at once, one makes the installation and the other finds it', async () => {
  const db = await freshDatabase();
  const results = await Promise.all([bootstrap(context(db)), bootstrap(context(db))]);
  expect(results.map((result) => result?.kind ?? 'found').toSorted()).toEqual(['created', 'found']);
  const organizations = await new OrganizationService(
    db.database,
    db.secretBox,
    systemClock,
  ).list();
  expect(organizations).toHaveLength(1);
  expect(await db.database.query('SELECT FROM operators')).toHaveLength(1);
});

test('what SHUNT_BOOTSTRAP_ and the provider variables fix is taken, and production shows no secret', async () => {
  const db = await freshDatabase();
  const fixed = context(db, {
    production: true,
    bootstrap: {
      email: 'Owner@Example.com',
      password: 'owner-password',
      projectKey: 'a-fixed-project-key',
      providerKeys: { anthropic: 'sk-ant-000000000000000000' },
    },
  });
  const made = await bootstrap(fixed);
  expect(made).toMatchObject({
    kind: 'created',
    ownerEmail: 'Owner@Example.com',
    providerKeysTaken: ['anthropic'],
    secrets: null,
  });
  expect(JSON.stringify(made)).not.toMatch(/owner-password|a-fixed-project-key|sk-ant|JBSWY/);
  const directory = new PrincipalDirectory(db.database, db.secretBox, systemClock, logger, {
    production: true,
  });
  expect(await directory.find('a-fixed-project-key')).toMatchObject({ kind: 'known' });
});

test('production without SHUNT_BOOTSTRAP_ makes no organization and says how to', async () => {
  const db = await freshDatabase();
  const result = await bootstrap(context(db, { production: true }));
  expect(result).toMatchObject({
    kind: 'instructions',
    message: expect.stringContaining('SHUNT_BOOTSTRAP_PROJECT_KEY'),
  });
  expect(await new OrganizationService(db.database, db.secretBox, systemClock).list()).toEqual([]);
});

test('a first start that fails leaves nothing behind: its password is held to the rule of all others', async () => {
  const db = await freshDatabase();
  const tooShort = { email: 'a@b.co', password: 'ninechars', projectKey: null, providerKeys: {} };
  await expect(bootstrap(context(db, { bootstrap: tooShort }))).rejects.toThrow(
    /SHUNT_BOOTSTRAP_PASSWORD/,
  );
  expect(await db.database.query('SELECT FROM users')).toEqual([]);
});

test('rekey seals everything anew, skips what is done, and counts both', async () => {
  const db = await freshDatabase();
  const oldKey = randomBytes(32);
  const old = new SecretBox({ current: oldKey, previous: null });
  const made = await bootstrap({ ...context(db), secretBox: old });
  if (made?.kind !== 'created') throw new Error('nothing made');
  const second = await new OrganizationService(db.database, old, systemClock).create(
    { name: 'Second' },
    ACTOR,
  );
  const secret = 'sk-test-000000000000000000';
  for (const orgId of [made.orgId, second.id]) {
    await new ProviderKeyService(db.database, old, systemClock).set(orgId, 'openai', secret, ACTOR);
  }
  const current = randomBytes(32);
  const both = new SecretBox({ current, previous: oldKey });
  const withoutPrevious = new SecretBox({ current, previous: null });
  const blind = await new RekeyService(db.database, withoutPrevious, systemClock).run(ACTOR);
  expect(blind).toMatchObject({ unreadable: 5, alreadyCurrent: 0 });
  const interrupted = new RekeyService(db.database, both, systemClock).run(ACTOR, () => {
    throw new Error('killed');
  });
  await expect(interrupted).rejects.toThrow('killed');
  const report = await new RekeyService(db.database, both, systemClock).run(ACTOR);
  expect(report).toEqual({
    organizations: 2,
    resealed: { providerKeys: 1, hashKeys: 1, invitations: 0, mail: 0, users: 0, operators: 1 },
    alreadyCurrent: 2,
    unreadable: 0,
  });
  const directory = new PrincipalDirectory(db.database, withoutPrevious, systemClock, logger, {
    production: false,
  });
  const found = await directory.find(made.secrets?.projectKey ?? '');
  if (found.kind !== 'known') throw new Error(found.kind);
  const keys = new ProviderKeyService(db.database, withoutPrevious, systemClock);
  expect(keys.open(found.principal, 'openai')).toBe(secret);
});

test('a sealed key that is moved to another organization does not open there', async () => {
  const db = await freshDatabase();
  const a = await db.createTenant({ providerKeys: { openai: 'sk-of-a-0000000000000000' } });
  const b = await db.createTenant({ providerKeys: { openai: 'sk-of-b-0000000000000000' } });
  const [key] = await db.database.tenant(a.orgId, (q) =>
    q.query<{ sealed: Buffer }>('SELECT sealed FROM provider_keys'),
  );
  await db.database.tenant(b.orgId, (q) =>
    q.query('UPDATE provider_keys SET sealed = $1', [key?.sealed]),
  );
  const directory = new PrincipalDirectory(db.database, db.secretBox, systemClock, logger, {
    production: false,
  });
  const found = await directory.find(b.apiKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  const keys = new ProviderKeyService(db.database, db.secretBox, systemClock);
  expect(() => keys.open(found.principal, 'openai')).toThrow(/another place/);
});

test('the database holds no key, password or hash key in clear', async () => {
  const db = await freshDatabase();
  const made = await bootstrap(context(db));
  if (made?.kind !== 'created' || !made.secrets) throw new Error('nothing made');
  await new ProviderKeyService(db.database, db.secretBox, systemClock).set(
    made.orgId,
    'openai',
    'sk-CLEARTEXT-0000000000',
    ACTOR,
  );
  const rows: unknown[] = [];
  for (const table of ['organizations', 'api_keys', 'provider_keys', 'users', 'operators']) {
    rows.push(
      ...(await db.database.tenant(made.orgId, (q) => q.query(`SELECT t::text FROM ${table} t`))),
    );
  }
  const stored = JSON.stringify(rows);
  for (const secret of [
    'sk-CLEARTEXT',
    made.secrets.projectKey,
    made.secrets.ownerPassword,
    'operator-secret',
    'JBSWY3DP',
  ]) {
    expect(stored).not.toContain(secret);
    expect(stored).not.toContain(Buffer.from(secret).toString('hex'));
  }
});

test('the commands lead from nothing to a working key, and print secrets once at most', async () => {
  const db = await freshDatabase();
  const session = sessionOn(db);
  const run = (command: string, options: Arguments['options'] = {}, ...positionals: string[]) =>
    commandNamed(command).run(session, { options, positionals });
  await expect(run('projects list')).rejects.toThrow(/orgs create/);
  await run('orgs create', { name: 'Acme', 'owner-email': 'owner@acme.test' });
  await expect(run('keys create', { name: 'x' })).rejects.toThrow(/projects create/);
  await run('projects create', { name: 'App', 'allow-models': 'gpt-*, claude-*' });
  const created = await run('keys create', { name: 'Production' });
  const { id, token } = created.json as { id: string; token: string };
  expect(created.text).toContain(token);
  expect((await run('keys list')).text).not.toContain(token);
  const directory = new PrincipalDirectory(db.database, db.secretBox, systemClock, logger, {
    production: false,
  });
  expect(await directory.find(token)).toMatchObject({
    kind: 'known',
    principal: { projectAllow: { models: ['gpt-*', 'claude-*'] } },
  });
  expect((await run('projects update', { disable: true })).text).toContain('DISABLED');
  await expect(run('projects update', { 'allow-providers': 'openal' })).rejects.toThrow(/openal/);
  const rotated = await run('keys rotate', {}, id);
  expect((rotated.json as { rotatedFrom: string }).rotatedFrom).toBe(id);
  await run('keys revoke', {}, id);
  await expect(run('keys revoke', {}, id)).rejects.toThrow(/No live key/);
  await expect(run('keys revoke', {}, token)).rejects.not.toThrow(token);
});

test('the command line adds people, names the user of the operating system in the trail, and never an address', async () => {
  const db = await freshDatabase();
  const session = sessionOn(db);
  const run = (command: string, options: Arguments['options'] = {}) =>
    commandNamed(command).run(session, { options, positionals: [] });
  const made = await run('orgs create', { name: 'Acme', 'owner-email': 'owner@acme.test' });
  const { id: orgId } = made.json as { id: string };
  const added = await run('members add', { email: 'new@acme.test', role: 'admin' });
  expect((added.json as { password: string }).password).toHaveLength(20);
  await expect(run('members add', { email: 'NEW@acme.test' })).rejects.toThrow(/already/);
  await expect(run('members add', { email: 'x@acme.test', role: 'king' })).rejects.toThrow(/owner/);
  const listed = await run('members list');
  expect(listed.text).toMatch(/owner@acme\.test +owner/);
  expect(listed.text).toMatch(/new@acme\.test +admin/);
  const entries = await session.auditTrail.list(orgId);
  expect(entries.map(({ action }) => action)).toEqual([
    'member.joined',
    'member.joined',
    'organization.created',
  ]);
  for (const entry of entries) {
    expect(entry).toMatchObject({ actorKind: 'command', actor: userInfo().username });
  }
  expect(JSON.stringify(entries)).not.toContain('acme.test');
});

test('a provider key comes from the environment or standard input, and is shown masked', async () => {
  const db = await freshDatabase();
  const { orgId } = await db.createTenant();
  const run = (command: string, ...positionals: string[]) =>
    commandNamed(command).run(sessionOn(db), { options: { org: orgId }, positionals });
  process.env['SHUNT_PROVIDER_KEY'] = 'sk-from-environment-0001';
  const fromEnvironment = await run('provider-keys set', 'openai').finally(() => {
    delete process.env['SHUNT_PROVIDER_KEY'];
  });
  expect(fromEnvironment.text).toContain('sk-...0001');
  const input = new PassThrough();
  input.end('gsk_from-standard-input-0002\n');
  const { stdin } = process;
  Object.defineProperty(process, 'stdin', { value: input, configurable: true });
  await run('provider-keys set', 'groq').finally(() =>
    Object.defineProperty(process, 'stdin', { value: stdin, configurable: true }),
  );
  const listed = await run('provider-keys list');
  expect(listed.text).toContain('gsk_...0002');
  expect(JSON.stringify(listed)).not.toMatch(/from-environment|from-standard-input/);
  await run('provider-keys remove', 'openai');
  const [removed] = await db.database.tenant(orgId, (q) =>
    q.query(`SELECT sealed FROM provider_keys WHERE provider = 'openai'`),
  );
  expect(removed).toEqual({ sealed: null });
});

function sessionOn({ database, secretBox }: TestDatabase): Session {
  const config = loadConfig({
    NODE_ENV: 'test',
    SHUNT_DATA_DIR: dataDir,
    DATABASE_URL: 'postgres://unused',
  });
  return {
    ...createServices({
      config,
      database,
      secretBox,
      clock: systemClock,
      logger: createLogger('silent'),
    }),
    rekey: new RekeyService(database, secretBox, systemClock),
    actor: commandActor(),
    hasPreviousKey: false,
    close: async () => undefined,
  };
}

function commandNamed(name: string): Command {
  const all = [
    ...orgCommands,
    ...memberCommands,
    ...projectCommands,
    ...keyCommands,
    ...providerKeyCommands,
  ];
  const command = all.find((candidate) => candidate.name === name);
  if (!command) throw new Error(`no command ${name}`);
  return command;
}
