import { DataSource } from 'typeorm';
import type { Logger } from '../telemetry/logger.js';
import { placeOf, withSettings } from './connection-url.js';
import { MIGRATIONS } from './migrations.js';
import { toQueryError } from './query-error.js';
import { ensureRuntimeRole } from './runtime-role.js';
import { waitForServer, withConnection } from './single-connection.js';

export interface MigrateOptions {
  /** The login that owns the schema. */
  readonly ownerUrl: string;
  /** The login of the pool; may be the same outside production. */
  readonly runtimeUrl: string;
  readonly logger: Logger;
}

/** Any number that no other user of the database takes: "shunt" in ASCII. */
const LOCK_KEY = 0x73_68_75_6e_74;
const LOCK_WAIT_MS = 120_000;
const SERVER_WAIT_MS = 30_000;
const MIGRATION_STATEMENT_TIMEOUT_MS = 600_000;
/** A migration that waits for a busy table gives up, rather than queueing all other queries behind it. */
const MIGRATION_LOCK_TIMEOUT_MS = 15_000;

/**
 * Brings the schema up to date. Replicas may start together: a session lock lets one work and the others wait
 * and find nothing left to do.
 */
export async function migrate({ ownerUrl, runtimeUrl, logger }: MigrateOptions): Promise<void> {
  await waitForServer(ownerUrl, SERVER_WAIT_MS);
  await withConnection(
    {
      url: ownerUrl,
      statementTimeoutMs: MIGRATION_STATEMENT_TIMEOUT_MS,
      lockTimeoutMs: LOCK_WAIT_MS,
    },
    async (connection) => {
      await connection.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
      await ensureRuntimeRole(connection, loginOf(runtimeUrl, ownerUrl));
      const applied = await runMigrations(ownerUrl);
      if (applied.length > 0) logger.info({ applied, at: placeOf(ownerUrl) }, 'database migrated');
      // The lock ends with the session.
    },
  );
}

async function runMigrations(ownerUrl: string): Promise<string[]> {
  const source = new DataSource({
    type: 'postgres',
    url: withSettings(ownerUrl, {
      statement_timeout: String(MIGRATION_STATEMENT_TIMEOUT_MS),
      lock_timeout: String(MIGRATION_LOCK_TIMEOUT_MS),
    }),
    logging: false,
    poolSize: 1,
    applicationName: 'shunt-migrate',
    migrations: [...MIGRATIONS],
    migrationsTableName: 'schema_migrations',
    migrationsTransactionMode: 'each',
  });
  try {
    await source.initialize();
    const applied = await source.runMigrations();
    return applied.map((migration) => migration.name);
  } catch (error) {
    throw toQueryError(error);
  } finally {
    if (source.isInitialized) await source.destroy();
  }
}

function loginOf(runtimeUrl: string, ownerUrl: string): string {
  const { username } = new URL(runtimeUrl);
  return decodeURIComponent(username || new URL(ownerUrl).username || 'postgres');
}
