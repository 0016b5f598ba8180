import path from 'node:path';
import type { AppConfig } from '../../config/app-config.js';
import { startEmbeddedPostgres } from '../embedded-postgres/start-embedded-postgres.js';
import type { Logger } from '../telemetry/logger.js';
import { Database } from './database.js';
import { migrate } from './migrate.js';

export interface OpenedDatabase {
  readonly database: Database;
  /** Logins in the form of URLs: for what needs a connection of its own. */
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
  readonly embedded: boolean;
  /** Closes the pool, and stops the embedded server where nobody else uses it. */
  close(): Promise<void>;
}

/** The configured database, or the embedded one: running, migrated, connected, and in production with a safe login. */
export async function openDatabase(config: AppConfig, logger: Logger): Promise<OpenedDatabase> {
  const embedded =
    config.database === null
      ? await startEmbeddedPostgres({
          dir: path.join(config.dataDir, 'postgres'),
          enclosing: config.dataDir,
          logger,
        })
      : null;
  const urls = embedded ?? {
    ownerUrl: config.database?.migrationUrl ?? '',
    runtimeUrl: config.database?.url ?? '',
  };
  let database: Database | null = null;
  try {
    await migrate({ ownerUrl: urls.ownerUrl, runtimeUrl: urls.runtimeUrl, logger });
    database = await Database.connect({ url: urls.runtimeUrl, logger });
    if (config.production) await database.assertSafeRuntimeLogin();
  } catch (error) {
    await database?.close();
    await embedded?.stop();
    throw error;
  }
  const opened = database;
  return {
    database: opened,
    ownerUrl: urls.ownerUrl,
    runtimeUrl: urls.runtimeUrl,
    embedded: embedded !== null,
    close: async () => {
      await opened.close();
      await embedded?.stop();
    },
  };
}
