import type { AppConfig } from './config/app-config.js';
import type { Provider } from './domain/routing/provider.js';
import { BodyBudget } from './gateway/body/payload.js';
import { CallAccountant } from './gateway/call-accountant.js';
import { CallEnd } from './gateway/call-end.js';
import { GatewayMetrics } from './gateway/gateway.metrics.js';
import { GatewayPipeline } from './gateway/gateway.pipeline.js';
import { PASSTHROUGH_LIMITS, type UpstreamLimits } from './gateway/stages/forward.js';
import { Upstreams } from './gateway/upstreams.js';
import type { PrincipalDirectory } from './modules/api-keys/principal-directory.js';
import { bootstrap, type BootstrapResult } from './modules/bootstrap/bootstrap.js';
import { checkEncryptionKey } from './modules/bootstrap/encryption-check.js';
import { buildCatalog, type Catalog } from './modules/catalog/catalog.js';
import { PriceBook } from './modules/catalog/price-book.js';
import { snapshotCatalog } from './modules/catalog/price-versions.store.js';
import { createShadow } from './modules/classifier/shadow.js';
import { LeasedRequestLimiter } from './modules/limits/leased-request-limiter.js';
import { LocalRequestLimiter } from './modules/limits/local-request-limiter.js';
import { RedisLeaseStore } from './modules/limits/redis-lease-store.js';
import type { RequestLimiter } from './modules/limits/request-limiter.js';
import { JobRunner } from './jobs/job-runner.js';
import { JOB_INTERVALS, jobTable, type Job, type JobIntervals } from './jobs/job-table.js';
import { mailMetrics } from './modules/mail/mail-metrics.js';
import { startRouting } from './modules/routing/start-routing.js';
import { CallRecorder } from './modules/records/call-recorder.js';
import { PartitionKeeper } from './modules/records/partition-keeper.js';
import { startResilience, type Resilience } from './modules/resilience/start-resilience.js';
import { TokenEstimator } from './modules/tokenizer/token-estimator.js';
import type { Probe } from './operations/readiness.js';
import { systemClock } from './platform/clock.js';
import { SecretBox } from './platform/crypto/secret-box.js';
import { Database } from './platform/postgres/database.js';
import { openDatabase, type OpenedDatabase } from './platform/postgres/open-database.js';
import { RedisConnection } from './platform/redis/redis-connection.js';
import type { Logger } from './platform/telemetry/logger.js';
import { Metrics } from './platform/telemetry/metrics.js';
import { readLastRun, startPropagation, type LastRun } from './propagation.js';
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
  readonly resilience: Resilience;
  readonly probes: Readonly<Record<string, Probe>>;
  /** What the first start made; null at every later one. */
  readonly bootstrapped: BootstrapResult | null;
  /**
   * Resolves once the database is there, migrated and usable, with what the first start made: at once, unless this
   * replica started without it. Work that cannot do anything without it begins then.
   */
  readonly databaseReady: Promise<BootstrapResult | null>;
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
  jobIntervals: JobIntervals = JOB_INTERVALS,
): Promise<Engine> {
  const closers: Closers = [];
  const start: Start = { config, logger, metrics: new Metrics(), closers };
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const parts = await startParts(start, limits);
    const { services, databaseReady, runtimeUrl } = parts;
    startJobs(start, runtimeUrl, databaseReady, jobTable(services, jobIntervals));
    return { ...parts, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  start: Start,
  limits: UpstreamLimits,
): Promise<Omit<Engine, 'stop'> & Pick<Foundation, 'runtimeUrl'>> {
  const { config, logger, metrics, closers } = start;
  metrics.collectProcess();
  const foundation = await layFoundation(start);
  const { secretBox, database, lookups, catalog, bootstrapped, databaseReady } = foundation;
  const recorder = startRecorder(start, database, databaseReady);
  const redis = openRedis(start);
  const { principals, right } = await startPropagation({
    config,
    logger,
    secretBox,
    lookups,
    database,
    redis,
    lastRun: foundation.lastRun,
    degraded: !foundation.connected,
    closers,
  });
  const limiter = startLimiter(start, redis);
  const resilience = startBreakers(start, redis, catalog);
  const upstreams = await openUpstreams(start, limits);
  const prices = new PriceBook(catalog);
  const routing = startRouting({ clock: systemClock, redis, metrics, prices, resilience });
  const ends = new CallEnd(routing.watch, routing.sessions);
  const accountant = startAccountant(start, recorder, prices, ends);
  const services = createServices({
    config,
    database,
    readings: foundation.readings,
    secretBox,
    clock: systemClock,
    logger,
  });
  closers.push(() => services.failedSignIns.flush());
  services.mail.observe(mailMetrics(metrics));
  closers.push(() => services.mail.close());
  const pipeline = new GatewayPipeline({
    findPrincipal: (token) => principals.find(token),
    takePermit: ({ orgId, requestsPerMinute }) =>
      limiter.take(orgId, requestsPerMinute ?? config.defaultRequestsPerMinute),
    upstreamOf: (provider, sandbox) => upstreams.of(provider, sandbox),
    openKey: (principal, provider) => services.providerKeys.open(principal, provider),
    mayRoute: (standing) => right.mayRoute(standing),
    router: routing.router,
    prefixes: routing.prefixes,
    prices,
    accountant,
    limits,
    bodies: new BodyBudget(),
  });
  const probes = { postgres: () => database.ping(), ...redisProbe(redis) };
  return {
    config,
    database,
    metrics,
    principals,
    pipeline,
    accountant,
    recorder,
    services,
    resilience,
    probes,
    bootstrapped,
    databaseReady,
    runtimeUrl: foundation.runtimeUrl,
  };
}

/**
 * Look-ups of keys have connections of their own: batches of records must not delay them, nor a revocation. One more
 * than look-ups can take is for following changes, and one in case that a look hangs.
 */
const LOOKUP_POOL = { poolSize: 8, statementTimeoutMs: 2_000, connectTimeoutMs: 2_000 };
/** Sums and exports wait for each other, and for nobody else. */
const READINGS_POOL = { poolSize: 4 };

interface Settling {
  readonly config: AppConfig;
  readonly database: Database;
  readonly lookups: Database;
  readonly readings: Database;
  readonly secretBox: SecretBox;
  readonly catalog: Catalog;
}

interface Foundation extends Settling {
  readonly lastRun: LastRun;
  readonly connected: boolean;
  readonly runtimeUrl: string;
  readonly bootstrapped: BootstrapResult | null;
  readonly databaseReady: Promise<BootstrapResult | null>;
}

/** The database, usable; or away, where the last run left enough to serve without it for now. */
async function layFoundation({ config, logger, closers }: Start): Promise<Foundation> {
  const secretBox = new SecretBox(config.encryptionKeys);
  const lastRun = await readLastRun(config, secretBox, logger);
  const opened = await openDatabase(config, logger, { mayBeAway: lastRun.usable });
  closers.push(() => opened.close());
  const { database, connected, runtimeUrl } = opened;
  const lookups = Database.unconnected({ url: runtimeUrl, logger, ...LOOKUP_POOL });
  closers.push(() => lookups.close());
  const readings = Database.unconnected({ url: runtimeUrl, logger, ...READINGS_POOL });
  closers.push(() => readings.close());
  const parts = { config, database, lookups, readings, secretBox, catalog: buildCatalog() };
  const settle = () => settleDatabase(parts);
  const bootstrapped = connected ? await settle() : null;
  const databaseReady = connected
    ? Promise.resolve(bootstrapped)
    : settledLater(opened, settle, logger);
  return { ...parts, lastRun, connected, runtimeUrl, bootstrapped, databaseReady };
}

/** What a connected database needs before it can be worked with; may be tried again where it failed. */
async function settleDatabase(parts: Settling): Promise<BootstrapResult | null> {
  const { config, database, lookups, readings, secretBox, catalog } = parts;
  await snapshotCatalog(database, catalog);
  await checkEncryptionKey(database, secretBox);
  const bootstrapped = await bootstrap({ database, secretBox, clock: systemClock, config });
  for (const pool of [lookups, readings]) if (!pool.isOpen) await pool.open();
  return bootstrapped;
}

async function settledLater(
  opened: OpenedDatabase,
  settle: () => Promise<BootstrapResult | null>,
  logger: Logger,
): Promise<BootstrapResult | null> {
  let bootstrapped: BootstrapResult | null = null;
  await opened.connectLater(async () => {
    // What an attempt made that failed afterwards is not made again, and must be shown all the same.
    bootstrapped = (await settle()) ?? bootstrapped;
  });
  logger.info('Postgres answers: this replica is a normal one from now on');
  return bootstrapped;
}

function startAccountant(
  start: Start,
  records: CallRecorder,
  prices: PriceBook,
  ends: CallEnd,
): CallAccountant {
  const { metrics, logger } = start;
  return new CallAccountant({
    records,
    prices,
    ends,
    shadow: createShadow(metrics),
    estimator: startEstimator(start),
    metrics: new GatewayMetrics(metrics),
    logger,
  });
}

/** Jobs need the database: where it is away, they begin once it is there. */
function startJobs(
  { config, logger, metrics, closers }: Start,
  runtimeUrl: string,
  databaseReady: Promise<unknown>,
  jobs: readonly Job[],
): void {
  if (config.role === 'gateway') return;
  const server = { redisUrl: config.redisUrl, runtimeUrl };
  const runner = new JobRunner({ server, jobs, clock: systemClock, metrics, logger });
  void databaseReady.then(() => runner.start());
  closers.push(() => runner.stop());
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
  databaseReady: Promise<unknown>,
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
  void databaseReady.then(() => partitions.start());
  closers.push(async () => {
    partitions.stop();
    await recorder.close(FLUSH_MS_MAX);
  });
  return recorder;
}

function startBreakers(
  { metrics, closers }: Start,
  redis: RedisConnection | null,
  { models }: Catalog,
): Resilience {
  const isKnownModel = (provider: Provider, model: string) => models[provider].has(model);
  return startResilience({ clock: systemClock, redis, metrics, isKnownModel, closers });
}

function openRedis({ config, logger, closers }: Start): RedisConnection | null {
  if (config.redisUrl === null) return null;
  const redis = new RedisConnection(config.redisUrl, logger);
  closers.push(() => redis.close());
  return redis;
}

function redisProbe(redis: RedisConnection | null): Readonly<Record<string, Probe>> {
  if (redis === null) return {};
  const probe = async (): Promise<void> => {
    if (!(await redis.ping())) throw new Error('Redis does not answer');
  };
  return { redis: probe };
}

function startLimiter({ closers }: Start, redis: RedisConnection | null): RequestLimiter {
  if (redis === null) return new LocalRequestLimiter(systemClock);
  const limiter = new LeasedRequestLimiter(systemClock, new RedisLeaseStore(redis));
  limiter.start();
  closers.push(() => limiter.stop());
  return limiter;
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
