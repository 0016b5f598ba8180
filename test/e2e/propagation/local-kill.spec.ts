import { afterAll, beforeAll, expect, it } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { LocalKill } from '../../../src/modules/subscriptions/local-kill.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startTestSandbox } from '../../support/sandbox.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import { endAll, freshDataDir, startReplica, type Replica } from '../reliability/replica.js';
import { measured, until } from '../reliability/until.js';
import { Installation, call, decides } from './installation.js';

const SECOND_MS = 1_000;
const LIMIT_MS = 20_000;
const ORDER = { by: 'ada', reason: 'answers look wrong' };

const installation = new Installation();
let sandbox: Sandbox;
let postgres: PausablePostgres;
let dataDir: string;
/** Both on one data directory. */
let replicas: readonly Replica[];
let origins: readonly string[];
let key: string;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  postgres = await PausablePostgres.start();
  dataDir = freshDataDir();
  const env = { ...postgres.env, ...installation.env(sandbox) };
  replicas = await Promise.all([
    startReplica({ dataDir, env }),
    // A Redis that nobody reaches.
    startReplica({ dataDir, env: { ...env, REDIS_URL: 'redis://127.0.0.1:1' } }),
  ]);
  origins = replicas.map(({ origin }) => origin);
  await installation.connect(postgres.runtimeUrl);
  const tenant = await installation.tenant('routed');
  key = tenant.apiKey;
  await installation.apply(tenant.orgId, 'activate');
  await decides('abstain', origins, key, LIMIT_MS);
});
afterAll(async () => {
  await installation.close();
  await endAll();
  await postgres.remove();
  await sandbox.close();
});

async function entries(): Promise<readonly unknown[]> {
  const all = await new AuditTrail(installation.database).list(INSTALLATION_ID, { limit: 500 });
  return all
    .filter(({ action }) => action.startsWith('routing.local_'))
    .map(({ action, actor, actorKind, reason, at }) => [action, actorKind, actor, reason, at])
    .toReversed();
}

it('the local kill switch works within a second with Postgres and Redis down, outlives a restart, and is audited once, later', async () => {
  await postgres.pause();
  for (const origin of origins) expect((await call(origin, key)).decision).toBe('abstain');
  const kill = new LocalKill(dataDir);
  const engaged = kill.engage(ORDER);
  const tookMs = await decides('passthrough', origins, key, LIMIT_MS);
  measured('local kill: both processes pass through after', `${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(SECOND_MS);
  // The lease had not ended by itself.
  expect(Date.now() - engaged.atMs).toBeLessThan(2 * SECOND_MS);

  await postgres.resume();
  const at = new Date(engaged.atMs).toISOString();
  const killed = ['routing.local_kill', 'command', 'ada', 'answers look wrong', at];
  await until('it is in the trail', LIMIT_MS, async () => (await entries()).length > 0);
  await until('it is marked', LIMIT_MS, () => kill.unaudited().length === 0);

  // The lease is back, the switch still off; also for a process that starts now.
  const again = await startReplica({
    dataDir,
    env: { ...postgres.env, ...installation.env(sandbox) },
  });
  await until('everything is up', LIMIT_MS, async () => (await ready(again)) === 200);
  for (const origin of [...origins.slice(0, 1), again.origin]) {
    expect(await call(origin, key)).toEqual({
      status: 200,
      decision: 'passthrough',
      mode: 'active',
    });
  }
  const released = kill.release({ by: 'bob', reason: 'all is well' });
  const backMs = await decides('abstain', [...origins, again.origin], key, LIMIT_MS);
  expect(backMs).toBeLessThan(SECOND_MS);
  await until('it is marked', LIMIT_MS, () => kill.unaudited().length === 0);
  expect(await entries()).toEqual([
    killed,
    [
      'routing.local_release',
      'command',
      'bob',
      'all is well',
      new Date(released.atMs).toISOString(),
    ],
  ]);
});

async function ready({ origin }: Replica): Promise<number> {
  return (await fetch(`${origin}/readyz`)).status;
}
