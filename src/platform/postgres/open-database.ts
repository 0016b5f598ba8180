import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AppConfig } from '../../config/app-config.js';
import { startEmbeddedPostgres } from '../embedded-postgres/start-embedded-postgres.js';
import { migrateQueue } from '../queue/migrate-queue.js';
import type { Logger } from '../telemetry/logger.js';
import { Database } from './database.js';
import { migrate } from './migrate.js';
import { isUnavailable } from './query-error.js';
import { waitForServer } from './single-connection.js';

export interface OpenedDatabase {
  readonly database: Database;
  /** Logins in the form of URLs: for what needs a connection of its own. */
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
  readonly embedded: boolean;
  /** False where the server did not answer, and the caller had said that it can do without for now. */
  readonly connected: boolean;
  /** For a database that is not connected: once it is, and migrated; never where it is closed before. */
  connectLater(settle: () => Promise<void>): Promise<void>;
  /** Closes the pool, and stops the embedded server where nobody else uses it. */
  close(): Promise<void>;
}

export interface OpenOptions {
  /** An external server that does not answer within a few seconds is not waited for. */
  readonly mayBeAway?: boolean;
}

const AWAY_AFTER_MS = 3_000;
const RETRY_MS = 1_000;
const COMPLAINT_INTERVAL_MS = 60_000;

interface Urls {
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
}

/**
 * The configured database, or the embedded one: running, migrated, connected, and in production with a safe login.
 * One that refuses the login, or has a schema that cannot be brought up to date, is an error, also where it may be away.
 */
export async function openDatabase(
  config: AppConfig,
  logger: Logger,
  options: OpenOptions = {},
): Promise<OpenedDatabase> {
  const embedded =
    config.database === null
      ? await startEmbeddedPostgres({
          dir: path.join(config.dataDir, 'postgres'),
          enclosing: config.dataDir,
          logger,
        })
      : null;
  const urls: Urls = embedded ?? {
    ownerUrl: config.database?.migrationUrl ?? '',
    runtimeUrl: config.database?.url ?? '',
  };
  const database = Database.unconnected({ url: urls.runtimeUrl, logger });
  const prepare = async (): Promise<void> => {
    await migrate({ ...urls, logger });
    if (config.role !== 'gateway' && config.redisUrl === null) await migrateQueue(urls.ownerUrl);
    await database.open();
    if (config.production) await database.assertSafeRuntimeLogin();
  };
  const closing = new AbortController();
  const close = async (): Promise<void> => {
    closing.abort();
    await database.close();
    await embedded?.stop();
  };
  const mayBeAway = embedded === null && options.mayBeAway === true;
  try {
    const connected = await prepareOrLeave(prepare, urls, mayBeAway);
    return {
      database,
      ownerUrl: urls.ownerUrl,
      runtimeUrl: urls.runtimeUrl,
      embedded: embedded !== null,
      connected,
      connectLater: (settle) =>
        untilDone(
          async () => {
            await waitForServer(urls.runtimeUrl, AWAY_AFTER_MS);
            if (!database.isOpen) await prepare();
            await settle();
          },
          logger,
          closing.signal,
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** False where the server is away, and may be. */
async function prepareOrLeave(
  prepare: () => Promise<void>,
  { ownerUrl, runtimeUrl }: Urls,
  mayBeAway: boolean,
): Promise<boolean> {
  try {
    if (mayBeAway) {
      await waitForServer(ownerUrl, AWAY_AFTER_MS);
      await waitForServer(runtimeUrl, AWAY_AFTER_MS);
    }
    await prepare();
    return true;
  } catch (error) {
    if (mayBeAway && isUnavailable(error)) return false;
    throw error;
  }
}

/** Tries for as long as the process lives; what stands in the way is said, but not at every attempt. */
async function untilDone(
  work: () => Promise<void>,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  let complainedAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!isUnavailable(error) && performance.now() - complainedAt > COMPLAINT_INTERVAL_MS) {
        complainedAt = performance.now();
        logger.error({ err: error }, 'the database answers, but cannot be used yet');
      }
    }
    await delay(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
    // It will never be connected, and nobody waits for it any more.
    if (signal.aborted) return new Promise(() => undefined);
  }
}
