import type { AppConfig } from './config/app-config.js';
import { PrincipalDirectory } from './modules/api-keys/principal-directory.js';
import { SnapshotError, SnapshotFile, type Snapshot } from './modules/api-keys/snapshot-file.js';
import { SnapshotKeeper, whyUnusable } from './modules/api-keys/snapshot-keeper.js';
import { LocalKill } from './modules/subscriptions/local-kill.js';
import { LocalKillWatch } from './modules/subscriptions/local-kill-watch.js';
import { RelayStore } from './modules/subscriptions/relay-store.js';
import { RoutingFollower } from './modules/subscriptions/routing-follower.js';
import { RoutingLease } from './modules/subscriptions/routing-lease.js';
import { RoutingRelay } from './modules/subscriptions/routing-relay.js';
import { RoutingRight } from './modules/subscriptions/routing-right.js';
import { systemClock } from './platform/clock.js';
import { SecretBoxError, type SecretBox } from './platform/crypto/secret-box.js';
import type { Database } from './platform/postgres/database.js';
import type { RedisConnection } from './platform/redis/redis-connection.js';
import type { Logger } from './platform/telemetry/logger.js';

/** How status, holds and switches reach the hot path of this replica. */
export interface Propagation {
  readonly principals: PrincipalDirectory;
  readonly right: RoutingRight;
}

export interface PropagationParts {
  readonly config: AppConfig;
  readonly logger: Logger;
  readonly secretBox: SecretBox;
  /** For look-ups of keys and for following changes; it may not be connected yet. */
  readonly lookups: Database;
  /** For the audit trail. */
  readonly database: Database;
  /** Null where there is one replica, or replicas that share only Postgres. */
  readonly redis: RedisConnection | null;
  readonly lastRun: LastRun;
  /** True where the database is away: what was known at the last run serves until it is back. */
  readonly degraded: boolean;
  readonly closers: (() => unknown)[];
}

/** What the last run left, and whether a start without the database may use it. */
export interface LastRun {
  readonly file: SnapshotFile;
  readonly snapshot: Snapshot | null;
  readonly usable: boolean;
}

export async function readLastRun(
  config: AppConfig,
  secretBox: SecretBox,
  logger: Logger,
): Promise<LastRun> {
  const file = new SnapshotFile(config.dataDir, secretBox);
  try {
    const snapshot = await file.read();
    const why = snapshot === null ? null : whyUnusable(snapshot, systemClock.nowMs());
    if (why !== null)
      logger.info({ why }, 'no start without the database: the snapshot is of no use');
    return { file, snapshot, usable: snapshot !== null && why === null };
  } catch (error) {
    if (!(error instanceof SecretBoxError || error instanceof SnapshotError)) throw error;
    logger.warn(
      { why: error.message },
      'no start without the database: the snapshot cannot be read',
    );
    return { file, snapshot: null, usable: false };
  }
}

export async function startPropagation(parts: PropagationParts): Promise<Propagation> {
  const { config, logger, secretBox, lookups, lastRun, closers } = parts;
  const localKill = new LocalKillWatch(new LocalKill(config.dataDir), logger);
  const right = new RoutingRight(new RoutingLease(), localKill);
  const store = parts.redis === null ? null : new RelayStore(parts.redis);
  const relay = store === null ? null : new RoutingRelay(store);
  const { production } = config;
  const principals = new PrincipalDirectory(lookups, secretBox, systemClock, logger, {
    production,
    onLook: (look) => {
      right.looked(look);
      follower?.looked();
      relay?.looked(look);
      if (look.complete) keeper.confirmed();
    },
  });
  const follower =
    store === null
      ? null
      : new RoutingFollower({ store, right, take: (all) => principals.take(all), logger });
  const { file, snapshot } = lastRun;
  const left = parts.degraded ? null : snapshot;
  const keeper = new SnapshotKeeper(file, principals, systemClock, logger, left);
  if (parts.degraded) restore(principals, snapshot, logger);
  localKill.start(parts.database);
  closers.push(() => localKill.stop());
  await principals.start();
  closers.push(() => principals.stop());
  follower?.start();
  closers.push(() => follower?.stop());
  // The embedded server comes and goes with its processes: nothing starts without it.
  if (config.database !== null) {
    keeper.start();
    closers.push(() => keeper.stop());
  }
  return { principals, right };
}

function restore(principals: PrincipalDirectory, snapshot: Snapshot | null, logger: Logger): void {
  if (snapshot === null) return;
  // The latest used last, so that it is the last to be forgotten.
  for (const key of [...snapshot.entries()].toReversed()) principals.restore(key);
  logger.warn(
    { keys: snapshot.keys, confirmedAt: new Date(snapshot.confirmedAtMs) },
    'Postgres does not answer: serving the keys of the last run, without routing, until it does',
  );
}
