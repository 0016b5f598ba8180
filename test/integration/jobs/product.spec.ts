import 'reflect-metadata';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { firstOwner } from '../../support/dashboard-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { until } from './job-rig.js';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    env: { SHUNT_ROLE: 'all' },
    jobIntervals: { mailMs: 200, observationMs: 200 },
  });
});
afterAll(() => gateway?.stop());

async function chat(): Promise<number> {
  const answer = await fetch(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateway.projectKey}`,
      'content-type': 'application/json',
    },
    body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
  });
  await answer.arrayBuffer();
  return answer.status;
}

async function metric(name: string): Promise<number> {
  const text = await gateway.app.engine.metrics.registry.metrics();
  const line = text.split('\n').find((row) => row.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const asOwner = (sql: string): Promise<Record<string, unknown>[]> =>
  withConnection(
    { url: embeddedLogins(gateway.dataDir).ownerUrl, statementTimeoutMs: 10_000 },
    (q) => q.query(sql),
  );

test('observation begins by itself after the first call of an organization', async () => {
  const { observations } = gateway.app.engine.services;
  const { orgId } = firstOwner(gateway);
  expect(await observations.find(orgId)).toBeNull();
  const calledAtMs = Date.now();
  expect(await chat()).toBe(200);
  await until('it is observed', 30_000, async () => (await observations.find(orgId)) !== null);
  const found = await observations.find(orgId);
  expect(Math.abs((found?.startedAtMs ?? 0) - calledAtMs)).toBeLessThan(5_000);
  expect(found?.next?.step).toBe('interim_report');
  const trail = await gateway.app.engine.services.auditTrail.list(orgId);
  expect(trail.find(({ action }) => action === 'observation.started')).toMatchObject({
    actorKind: 'job',
    actor: 'observation',
  });
});

test('every scheduled job of the product is in the queue', async () => {
  const rows = await asOwner('SELECT scheduler_id AS name FROM bullmq.scheduler ORDER BY 1');
  expect(rows.map(({ name }) => name)).toEqual([
    'accounts_sweep',
    'billing_reconciliation',
    'erasure',
    'ledger_prices',
    'ledger_seal',
    'mail',
    'mail_sweep',
    'observation',
  ]);
});

test('calls go on undisturbed while every job fails', async () => {
  const failed = 'shunt_job_runs_total{job="observation",result="failed"}';
  await asOwner('ALTER TABLE observations RENAME TO observations_away');
  await until('jobs fail', 20_000, async () => (await metric(failed)) > 1);
  for (let i = 0; i < 20; i += 1) expect(await chat()).toBe(200);
  await asOwner('ALTER TABLE observations_away RENAME TO observations');
});

test('calls go on undisturbed while there is no queue at all', async () => {
  await asOwner('ALTER SCHEMA bullmq RENAME TO bullmq_away');
  await until('it is noticed', 20_000, async () => (await metric('shunt_job_queue_open')) === 0);
  for (let i = 0; i < 20; i += 1) expect(await chat()).toBe(200);
  await asOwner('ALTER SCHEMA bullmq_away RENAME TO bullmq');
  await until('it is open again', 45_000, async () => (await metric('shunt_job_queue_open')) === 1);
});

test('a process with the role of a gateway opens no queue', async () => {
  const plain = await startGateway();
  try {
    const { superuserUrl } = embeddedLogins(plain.dataDir);
    const options = { url: superuserUrl, statementTimeoutMs: 10_000 };
    const found = await withConnection(options, (q) =>
      q.query(`SELECT FROM pg_namespace WHERE nspname = 'bullmq'
               UNION ALL SELECT FROM pg_stat_activity WHERE application_name = 'shunt-jobs'`),
    );
    expect(found).toEqual([]);
  } finally {
    await plain.stop();
  }
});
