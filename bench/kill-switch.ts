import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generate } from 'otplib';
import type { SubscriptionEvent } from '../src/domain/subscription/transitions.js';
import { SubscriptionService } from '../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../src/platform/clock.js';
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres/start-embedded-postgres.js';
import { Database } from '../src/platform/postgres/database.js';
import { createLogger } from '../src/platform/telemetry/logger.js';
import { SteadyLoad } from './kill-switch-load.js';
import { Gate, startRedis } from './network.js';
import { startMeasured, type Measured } from './processes.js';

/**
 * How long calls are still routed after an operator's kill switch has answered: three replicas, each a process of its
 * own, under a steady load. Per trial: routing is enabled, every replica routes, the operator kills, and the last call
 * counts that began after the answer, on any replica, and was not passed through.
 */
const { values: options } = parseArgs({
  options: {
    trials: { type: 'string', default: '50' },
    rate: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) {
  console.log('npm run bench:kill -- [--trials 50] [--rate 200] [--only redis] [--json]');
  process.exit(0);
}

interface Variant {
  readonly name: string;
  readonly needsRedis: boolean;
  /** One of the replicas is cut off from Postgres, and hears of the kill through Redis alone. */
  readonly oneWithoutPostgres: boolean;
}

const VARIANTS: readonly Variant[] = [
  { name: 'Postgres', needsRedis: false, oneWithoutPostgres: false },
  { name: 'Postgres and Redis', needsRedis: true, oneWithoutPostgres: false },
  { name: 'one replica by Redis alone', needsRedis: true, oneWithoutPostgres: true },
];

const REPLICAS = 3;
const RUN_MS_MAX = 180_000;
const TRIAL_MS_MAX = 15_000;
const POLL_MS = 5;
/** The kill comes at any moment of the replicas' polls. */
const PAUSE_MS_MAX = 250;
/** So many calls in a row, per replica, show what it does now. */
const CALLS_IN_A_ROW = 20;
const KEY = 'shunt_bench_key_0123456789abcdef';
const isRouted = (decision: string): boolean => decision !== 'passthrough';
const isPassedThrough = (decision: string): boolean => !isRouted(decision);

const secrets = {
  SHUNT_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  SHUNT_SESSION_SECRET: randomBytes(32).toString('base64'),
  SHUNT_ADMIN_SECRET: randomBytes(24).toString('base64url'),
  SHUNT_ADMIN_TOTP_SECRET: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
};
const logger = createLogger('silent');
const endsAt = performance.now() + RUN_MS_MAX;

const rows: Record<string, unknown>[] = [];
for (const variant of VARIANTS.filter(({ name }) => name.includes(options.only))) {
  const row = await measure(variant);
  if (row !== null) rows.push(row);
}
if (options.json) console.log(JSON.stringify(rows));
else {
  console.log(`From the answer of the kill switch to the last call that began and was still routed,
${REPLICAS} replicas, ${options.rate} calls/s in all (ms).`);
  console.table(rows);
}

async function measure(variant: Variant): Promise<Record<string, unknown> | null> {
  const closers: (() => unknown)[] = [];
  try {
    const redis = variant.needsRedis ? await startRedis() : null;
    if (variant.needsRedis && redis === null) {
      process.stderr.write(`${variant.name}: skipped, there is no redis-server\n`);
      return null;
    }
    closers.push(() => redis?.stop());
    const stage = await setUp(variant, redis?.url ?? null, closers);
    return await runTrials(variant, stage);
  } finally {
    for (const close of closers.toReversed()) await close();
  }
}

interface Stage {
  readonly replicas: readonly Measured[];
  readonly database: Database;
  readonly gate: Gate;
}

async function setUp(
  variant: Variant,
  redisUrl: string | null,
  closers: (() => unknown)[],
): Promise<Stage> {
  const dist = path.resolve(import.meta.dirname, '..');
  const directory = mkdtempSync(path.join(tmpdir(), 'shunt-bench-kill-'));
  // Passable for the user that the server drops to when this runs as root.
  chmodSync(directory, 0o711);
  closers.push(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres({ dir: path.join(directory, 'postgres'), logger });
  closers.push(() => postgres.stop());
  const upstream = await startMeasured('upstream', path.join(dist, 'bench/upstream.js'), {});
  closers.push(() => upstream.stop());
  const { gate, url: gatedUrl } = await Gate.before(postgres.runtimeUrl);
  closers.push(() => gate.close());
  const replicas: Measured[] = [];
  for (let n = 0; n < REPLICAS; n += 1) {
    const isCutOff = variant.oneWithoutPostgres && n === REPLICAS - 1;
    const replica = await startMeasured(`replica ${n}`, path.join(dist, 'src/main.js'), {
      ...secrets,
      NODE_ENV: 'development',
      PORT: '0',
      LOG_LEVEL: 'error',
      SHUNT_ROLE: 'gateway',
      SHUNT_DATA_DIR: path.join(directory, `replica-${n}`),
      SHUNT_ORG_RATE_LIMIT: '10000000',
      SHUNT_BOOTSTRAP_PROJECT_KEY: KEY,
      DATABASE_URL: isCutOff ? gatedUrl : postgres.runtimeUrl,
      DATABASE_MIGRATION_URL: postgres.ownerUrl,
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      OPENAI_API_KEY: 'upstream-key',
      ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
    });
    replicas.push(replica);
    closers.push(() => replica.stop());
  }
  const database = await Database.connect({ url: postgres.runtimeUrl, logger, poolSize: 2 });
  closers.push(() => database.close());
  return { replicas, database, gate };
}

async function runTrials(
  variant: Variant,
  { replicas, database, gate }: Stage,
): Promise<Record<string, unknown>> {
  const operator = await signIn(replicas[0]!.origin);
  const [organization] = await database.directory((q) =>
    q.query<{ id: string }>('SELECT id FROM organizations'),
  );
  const orgId = organization!.id;
  const load = new SteadyLoad(
    replicas.map(({ origin }) => origin),
    KEY,
    Number(options.rate),
  );
  try {
    await until(() => load.allDecide(isPassedThrough, CALLS_IN_A_ROW, 0));
    if (variant.oneWithoutPostgres) gate.cut();
    const taken: number[] = [];
    const trials = Number(options.trials);
    while (taken.length < trials && performance.now() < endsAt) {
      taken.push(await trial(load, database, orgId, operator));
      process.stderr.write(`\r${variant.name}: trial ${taken.length} of ${trials}   `);
    }
    process.stderr.write('\n');
    taken.sort((a, b) => a - b);
    return {
      variant: variant.name,
      trials: taken.length,
      p50: quantile(taken, 0.5),
      p99: quantile(taken, 0.99),
      max: quantile(taken, 1),
      calls: load.sent,
      failed: load.failures,
    };
  } finally {
    await load.stop();
  }
}

async function trial(
  load: SteadyLoad,
  database: Database,
  orgId: string,
  operator: Operator,
): Promise<number> {
  const subscriptions = new SubscriptionService(database, systemClock, async () => 'off');
  const apply = async (event: SubscriptionEvent): Promise<void> => {
    const actor =
      event === 'activate'
        ? ({ kind: 'member', id: 'bench', role: 'owner' } as const)
        : ({ kind: 'operator', name: 'bench' } as const);
    await subscriptions.apply(orgId, { event, actor });
  };
  load.forget();
  await apply('release_hold');
  await apply('activate');
  const activatedAt = performance.now();
  await until(() => load.allDecide(isRouted, CALLS_IN_A_ROW / 4, activatedAt));
  await delay(Math.random() * PAUSE_MS_MAX);
  await operator.kill(orgId);
  const answeredAt = performance.now();
  await until(() => load.allDecide(isPassedThrough, CALLS_IN_A_ROW, answeredAt));
  return Math.max(0, (load.lastStartOf(isRouted) ?? answeredAt) - answeredAt);
}

interface Operator {
  kill(orgId: string): Promise<void>;
}

/** As an operator's script does it: one login, then one call per act. */
async function signIn(origin: string): Promise<Operator> {
  const post = async (at: string, body: unknown, cookie = ''): Promise<Response> => {
    const answer = await fetch(`${origin}/admin/api/${at}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin, ...(cookie ? { cookie } : {}) },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${at} answered ${answer.status}`);
    await answer.arrayBuffer();
    return answer;
  };
  const login = await post('login', {
    name: 'operator',
    secret: secrets.SHUNT_ADMIN_SECRET,
    totp: await generate({ secret: secrets.SHUNT_ADMIN_TOTP_SECRET }),
  });
  const [cookie = ''] = (login.headers.get('set-cookie') ?? '').split(';');
  return {
    kill: async (orgId) => {
      await post(`organizations/${orgId}/kill`, { reason: 'bench' }, cookie);
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + TRIAL_MS_MAX;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`not within ${TRIAL_MS_MAX} ms`);
    await delay(POLL_MS);
  }
}

function quantile(sorted: readonly number[], q: number): number {
  const at = Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * q) - 1));
  return Number((sorted[at] ?? 0).toFixed(1));
}
