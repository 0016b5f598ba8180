import type { AppConfig } from './config/app-config.js';
import { BodyBudget } from './gateway/body/payload.js';
import { CallAccountant } from './gateway/call-accountant.js';
import { GatewayMetrics } from './gateway/gateway.metrics.js';
import { GatewayPipeline } from './gateway/gateway.pipeline.js';
import { PASSTHROUGH_LIMITS, type UpstreamLimits } from './gateway/stages/forward.js';
import { Upstreams } from './gateway/upstreams.js';
import { PrincipalDirectory } from './modules/api-keys/principal-directory.js';
import { bootstrap, type BootstrapResult } from './modules/bootstrap/bootstrap.js';
import { checkEncryptionKey } from './modules/bootstrap/encryption-check.js';
import { buildCatalog } from './modules/catalog/catalog.js';
import { PriceBook } from './modules/catalog/price-book.js';
import { snapshotCatalog } from './modules/catalog/price-versions.store.js';
import { createShadow } from './modules/classifier/shadow.js';
import { LeasedRequestLimiter } from './modules/limits/leased-request-limiter.js';
import { LocalRequestLimiter } from './modules/limits/local-request-limiter.js';
import { RedisLeaseStore } from './modules/limits/redis-lease-store.js';
import type { RequestLimiter } from './modules/limits/request-limiter.js';
import { CallRecorder } from './modules/records/call-recorder.js';
import { PartitionKeeper } from './modules/records/partition-keeper.js';
import { TokenEstimator } from './modules/tokenizer/token-estimator.js';
import type { Probe } from './operations/readiness.js';
import { systemClock } from './platform/clock.js';
import { SecretBox } from './platform/crypto/secret-box.js';
import { Database } from './platform/postgres/database.js';
import { openDatabase } from './platform/postgres/open-database.js';
import { RedisConnection } from './platform/redis/redis-connection.js';
import type { Logger } from './platform/telemetry/logger.js';
import { Metrics } from './platform/telemetry/metrics.js';
import { startSandbox } from './sandbox/server.js';
import { createServices, type Services } from './services.js';

/** Everything that runs below the HTTP surface; started in one order and stopped in the reverse. */
export interface Engine {
  readonly config: AppConfig;
  readonly database: Database;
  readonly metrics: Metrics;
  readonly principals: PrincipalDirectory;
  readonly pipeline: GatewayPipeline;
  readonly accountant: CallAccountant;
  readonly recorder: CallRecorder;
  readonly services: Services;
  readonly probes: Readonly<Record<string, Probe>>;
  /** What the first start made; null at every later one. */
  readonly bootstrapped: BootstrapResult | null;
  stop(): Promise<void>;
}

const FLUSH_MS_MAX = 10_000;

type Closers = (() => unknown)[];

/** What each part needs to start; what it opens, it adds to `closers`. */
interface Start {
  readonly config: AppConfig;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly closers: Closers;
}

export async function startEngine(
  config: AppConfig,
  logger: Logger,
  limits: UpstreamLimits = PASSTHROUGH_LIMITS,
): Promise<Engine> {
  const closers: Closers = [];
  const start: Start = { config, logger, metrics: new Metrics(), closers };
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const { metrics } = start;
    metrics.collectProcess();
    const opened = await openDatabase(config, logger);
    closers.push(() => opened.close());
    const { database } = opened;
    const secretBox = new SecretBox(config.encryptionKeys);
    const catalog = buildCatalog();
    await snapshotCatalog(database, catalog);
    await checkEncryptionKey(database, secretBox);
    const bootstrapped = await bootstrap({ database, secretBox, config });
    const recorder = startRecorder(start, database);
    const principals = await startDirectory(start, opened.runtimeUrl, secretBox);
    const { limiter, probe } = startLimiter(start);
    const upstreams = await openUpstreams(start, limits);
    const estimator = startEstimator(start);
    const accountant = new CallAccountant({
      records: recorder,
      prices: new PriceBook(catalog),
      shadow: createShadow(metrics),
      estimator,
      metrics: new GatewayMetrics(metrics),
      logger,
    });
    const services = createServices({ config, database, secretBox, clock: systemClock, logger });
    const pipeline = new GatewayPipeline({
      findPrincipal: (token) => principals.find(token),
      takePermit: ({ orgId, requestsPerMinute }) =>
        limiter.take(orgId, requestsPerMinute ?? config.defaultRequestsPerMinute),
      upstreamOf: (provider, sandbox) => upstreams.of(provider, sandbox),
      openKey: (principal, provider) => services.providerKeys.open(principal, provider),
      accountant,
      limits,
      bodies: new BodyBudget(),
    });
    const probes = { postgres: () => database.ping(), ...probe };
    return {
      config,
      database,
      metrics,
      principals,
      pipeline,
      accountant,
      recorder,
      services,
      probes,
      bootstrapped,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Look-ups of keys have connections of their own: batches of records must not delay them, nor a revocation. */
const DIRECTORY_POOL = { poolSize: 4, statementTimeoutMs: 2_000, connectTimeoutMs: 2_000 };

async function startDirectory(
  { config, logger, closers }: Start,
  url: string,
  secretBox: SecretBox,
): Promise<PrincipalDirectory> {
  const database = await Database.connect({ url, logger, ...DIRECTORY_POOL });
  closers.push(() => database.close());
  const principals = new PrincipalDirectory(database, secretBox, systemClock, logger, config);
  await principals.start();
  closers.push(() => principals.stop());
  return principals;
}

function startEstimator({ metrics, closers }: Start): TokenEstimator {
  const givenUp = metrics.counter(
    'shunt_estimates_given_up_total',
    'Calls without reported usage that could not be estimated either, by reason',
    ['reason'],
  );
  const estimator = new TokenEstimator((reason) => givenUp.inc({ reason }));
  closers.push(() => estimator.close());
  return estimator;
}

function startRecorder(
  { config, logger, metrics, closers }: Start,
  database: Database,
): CallRecorder {
  const recorder = new CallRecorder({
    dataDir: config.dataDir,
    encryptionKeys: config.encryptionKeys,
    database,
    clock: systemClock,
    logger,
    metrics,
  });
  recorder.run();
  const partitions = new PartitionKeeper(database, systemClock, metrics, logger);
  void partitions.start();
  closers.push(async () => {
    partitions.stop();
    await recorder.close(FLUSH_MS_MAX);
  });
  return recorder;
}

function startLimiter({ config, logger, closers }: Start): {
  limiter: RequestLimiter;
  probe: Readonly<Record<string, Probe>>;
} {
  if (config.redisUrl === null) return { limiter: new LocalRequestLimiter(systemClock), probe: {} };
  const redis = new RedisConnection(config.redisUrl, logger);
  const limiter = new LeasedRequestLimiter(systemClock, new RedisLeaseStore(redis));
  limiter.start();
  closers.push(async () => {
    await limiter.stop();
    await redis.close();
  });
  const probe = async (): Promise<void> => {
    if (!(await redis.ping())) throw new Error('Redis does not answer');
  };
  return { limiter, probe: { redis: probe } };
}

/** The sandbox runs beside the real providers, for the organization that has no provider key yet. */
async function openUpstreams(
  { config, closers }: Start,
  limits: UpstreamLimits,
): Promise<Upstreams> {
  const sandbox = config.production ? null : await startSandbox();
  if (sandbox !== null) closers.push(() => sandbox.close());
  const upstreams = new Upstreams(config.upstreams, sandbox?.baseUrls ?? null, limits);
  closers.push(() => upstreams.close());
  return upstreams;
}
