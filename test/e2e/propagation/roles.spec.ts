import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startTestSandbox } from '../../support/sandbox.js';
import { PausablePostgres } from '../reliability/pausable-postgres.js';
import { endAll, freshDataDir, startReplica } from '../reliability/replica.js';
import { Installation, call } from './installation.js';

const installation = new Installation();
let sandbox: Sandbox;
let postgres: PausablePostgres;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  postgres = await PausablePostgres.start();
});
afterAll(async () => {
  await endAll();
  await postgres.remove();
  await sandbox.close();
});

async function start(role: string) {
  const env = { ...postgres.env, ...installation.env(sandbox), SHUNT_ROLE: role };
  return startReplica({ dataDir: freshDataDir(), env });
}

it('a worker forwards no calls and serves no pages, and tells how it does; a gateway forwards', async () => {
  const [gateway, worker] = [await start('gateway'), await start('worker')];
  expect((await call(gateway.origin, gateway.projectKey)).status).toBe(200);
  expect((await call(worker.origin, worker.projectKey)).status).toBe(404);
  const pages = [
    'shunt/v1/project',
    'api/session',
    'api/keys',
    'admin/api/session',
    'webhooks/paddle',
  ];
  for (const page of pages) {
    expect([page, (await fetch(`${worker.origin}/${page}`)).status]).toEqual([page, 404]);
  }
  expect((await fetch(`${gateway.origin}/shunt/v1/project`)).status).toBe(401);
  for (const page of ['healthz', 'readyz', 'metrics']) {
    expect([page, (await fetch(`${worker.origin}/${page}`)).status]).toEqual([page, 200]);
  }
});
