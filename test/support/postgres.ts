import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiKeyService } from '../../src/modules/api-keys/api-key.service.js';
import { OrganizationService } from '../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../src/modules/projects/project.service.js';
import type { ProjectChanges } from '../../src/modules/projects/project.js';
import { ProviderKeyService } from '../../src/modules/provider-keys/provider-key.service.js';
import {
  SubscriptionService,
  type Act,
} from '../../src/modules/subscriptions/subscription.service.js';
import type { Provider } from '../../src/domain/routing/provider.js';
import type { Actor } from '../../src/domain/subscription/actor.js';
import type { SubscriptionStatus } from '../../src/domain/subscription/status.js';
import { systemClock } from '../../src/platform/clock.js';
import { SecretBox } from '../../src/platform/crypto/secret-box.js';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { countUsers } from '../../src/platform/embedded-postgres/users-of-server.js';
import { Database, type DatabaseOptions } from '../../src/platform/postgres/database.js';
import { migrate } from '../../src/platform/postgres/migrate.js';
import { sqlStateOf } from '../../src/platform/postgres/query-error.js';
import { withConnection } from '../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../src/platform/telemetry/logger.js';
import { copyTemplate } from './postgres-template.js';
import { ACTOR } from './tenants.js';

export interface TestTenant {
  readonly orgId: string;
  readonly projectId: string;
  readonly apiKeyId: string;
  /** The project key itself, as an SDK sends it. */
  readonly apiKey: string;
}

export interface TestTenantOptions {
  readonly name?: string;
  readonly status?: SubscriptionStatus;
  readonly isFirst?: boolean;
  readonly project?: ProjectChanges;
  readonly providerKeys?: Readonly<Partial<Record<Provider, string>>>;
}

/** A fresh, migrated database of one spec, and connections to it. */
export interface TestDatabase {
  /** As the product connects: acting as `shunt_runtime`. */
  readonly database: Database;
  /** As the owning login: bound by forced row security too, but allowed to run DDL. */
  readonly owner: Database;
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
  readonly secretBox: SecretBox;
  createTenant(options?: TestTenantOptions): Promise<TestTenant>;
  setStatus(orgId: string, status: SubscriptionStatus): Promise<void>;
  /** Another pool, as a second replica has. The caller closes it. */
  connect(options?: Partial<DatabaseOptions>): Promise<Database>;
  /** Drops the database and, with the last one of this process, the server and its files. */
  close(): Promise<void>;
}

const logger = createLogger('silent');
const INSUFFICIENT_PRIVILEGE = '42501';
/** The one that every server of the product has: here nobody connects to it, so that it can be copied. */
const MIGRATED_DATABASE = 'shunt';
const DIRECTORY_PREFIX = 'shunt-test-postgres-';

/**
 * One server per spec file, in a directory of its own under the system's: specs that run at the same time share
 * nothing, and one that is killed breaks no other.
 */
let server: Promise<TestServer> | null = null;
let users = 0;

interface TestServer {
  readonly postgres: EmbeddedPostgres;
  readonly dir: string;
}

export async function testDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const { postgres } = await (server ??= startServer());
  users += 1;
  const name = `test_${randomBytes(6).toString('hex')}`;
  const urls = {
    ownerUrl: withDatabase(postgres.ownerUrl, name),
    runtimeUrl: withDatabase(postgres.runtimeUrl, name),
  };
  if (options.migrated === false) {
    await asOwner(postgres, `CREATE DATABASE ${name}`);
  } else {
    await asOwner(postgres, `CREATE DATABASE ${name} TEMPLATE ${MIGRATED_DATABASE}`);
  }
  const owner = await Database.connect({ url: urls.ownerUrl, logger, role: null, poolSize: 2 });
  const database = await Database.connect({ url: urls.runtimeUrl, logger });
  const secretBox = new SecretBox({ current: randomBytes(32), previous: null });
  return {
    ...urls,
    database,
    owner,
    secretBox,
    createTenant: (tenant) => createTenant(database, secretBox, tenant),
    setStatus: (orgId, status) => setStatus(database, orgId, status),
    connect: (extra) => Database.connect({ url: urls.runtimeUrl, logger, ...extra }),
    close: async () => {
      await Promise.all([database.close(), owner.close()]);
      await drop(postgres, name);
      users -= 1;
      if (users === 0) await stopServer();
    },
  };
}

async function drop(postgres: EmbeddedPostgres, name: string): Promise<void> {
  try {
    await asOwner(postgres, `DROP DATABASE ${name} WITH (FORCE)`);
  } catch (error) {
    if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    // A connection of the runtime's login is just ending, which its owner may not hasten: without force the server
    // waits for it, up to 5 s.
    await asOwner(postgres, `DROP DATABASE ${name}`);
  }
}

async function startServer(): Promise<TestServer> {
  await stopOrphans();
  const dir = mkdtempSync(path.join(tmpdir(), DIRECTORY_PREFIX));
  // Passable for the user that the server drops to when the tests run as root.
  chmodSync(dir, 0o711);
  const home = path.join(dir, 'postgres');
  const isMigrated = copyTemplate(home);
  const postgres = await startEmbeddedPostgres({ dir: home, logger, durable: false });
  if (!isMigrated) await migrate({ ...postgres, logger });
  return { postgres, dir };
}

/** A spec that was killed could not stop its server: the next one does. */
async function stopOrphans(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(DIRECTORY_PREFIX))) {
    const home = path.join(tmpdir(), name, 'postgres');
    const noted = path.join(home, 'users');
    try {
      // Without a note its spec is just starting or ending.
      if (!existsSync(noted) || readdirSync(noted).length === 0 || countUsers(home) > 0) continue;
      const orphan = await startEmbeddedPostgres({ dir: home, logger, durable: false });
      await orphan.stop();
      rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another spec is clearing it away.
    }
  }
}

async function stopServer(): Promise<void> {
  const stopping = server;
  server = null;
  if (!stopping) return;
  const { postgres, dir } = await stopping;
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}

async function createTenant(
  database: Database,
  secretBox: SecretBox,
  options: TestTenantOptions = {},
): Promise<TestTenant> {
  const name = options.name ?? `org ${randomBytes(3).toString('hex')}`;
  const { isFirst } = options;
  const organization = await new OrganizationService(database, secretBox, systemClock).create(
    { name, isFirst },
    ACTOR,
  );
  const orgId = organization.id;
  const project = await new ProjectService(database, systemClock).create(
    orgId,
    { name: 'default', ...options.project },
    ACTOR,
  );
  if (project.kind !== 'saved') throw new Error(`project: ${project.kind}`);
  const projectId = project.project.id;
  const keys = new ApiKeyService(database, systemClock);
  const key = await keys.create(orgId, { projectId, name: 'test' }, ACTOR);
  if (key.kind !== 'issued') throw new Error(`key: ${key.kind}`);
  const providerKeys = new ProviderKeyService(database, secretBox, systemClock);
  for (const [provider, secret] of Object.entries(options.providerKeys ?? {})) {
    await providerKeys.set(orgId, provider as Provider, secret, ACTOR);
  }
  if (options.status) await setStatus(database, orgId, options.status);
  return { orgId, projectId, apiKeyId: key.key.id, apiKey: key.token };
}

/** By the one door that a status has, from `observing` on, as owners, operators and billing would bring it about. */
async function setStatus(
  database: Database,
  orgId: string,
  status: SubscriptionStatus,
): Promise<void> {
  const subscriptions = new SubscriptionService(database, systemClock, async () => 'off');
  for (const act of WAY_TO[status]) {
    const applied = await subscriptions.apply(orgId, act);
    // One that is suspended already is on its way all the same.
    if (applied.kind === 'refused' && act.event === 'suspend') continue;
    if (applied.kind === 'refused' || applied.kind === 'not_found') throw new Error(applied.kind);
  }
}

const OWNER: Actor = { kind: 'member', id: 'test', role: 'owner' };
const OPERATOR: Actor = { kind: 'operator', name: 'test' };
const START: readonly Act[] = [
  { event: 'suspend', actor: OPERATOR },
  { event: 'reinstate', actor: OPERATOR },
];
const ACTIVATE: Act = { event: 'activate', actor: OWNER };

const WAY_TO: Readonly<Record<SubscriptionStatus, readonly Act[]>> = {
  observing: START,
  observation_ended: [...START, { event: 'close_window', actor: { kind: 'job', name: 'test' } }],
  active: [...START, ACTIVATE],
  past_due: [
    ...START,
    ACTIVATE,
    { event: 'payment_past_due', actor: { kind: 'billing', source: 'webhook' } },
  ],
  canceled: [...START, ACTIVATE, { event: 'cancel', actor: OWNER }],
  suspended: [{ event: 'suspend', actor: OPERATOR }],
};

async function asOwner(postgres: EmbeddedPostgres, sql: string): Promise<void> {
  const url = withDatabase(postgres.ownerUrl, 'postgres');
  const options = { url, statementTimeoutMs: 30_000 };
  await withConnection(options, (connection) => connection.query(sql));
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.toString();
}
