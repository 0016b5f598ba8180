import { expect, test } from 'vitest';
import { RUN_MS_MAX } from '../modules/mail/mail-sender.js';
import { SMTP_LIMITS } from '../modules/mail/smtp-transport.js';
import { createLogger } from '../platform/telemetry/logger.js';
import { Metrics } from '../platform/telemetry/metrics.js';
import { JobRuns } from './job-runs.js';
import { JOB_INTERVALS, jobTable, type JobServices } from './job-table.js';

/** Services that do nothing but keep the signals they were given. */
function idle(seen: (AbortSignal | undefined)[] = []): JobServices {
  const none = { failed: 0 };
  const left = { no_record: 0, not_reproduced: 0, unpriceable: 0 };
  const adjusted = { organizations: 0, corrected: 0, priced: 0, left };
  const keep =
    <T>(result: T) =>
    async (signal?: AbortSignal): Promise<T> => {
      seen.push(signal);
      return result;
    };
  return {
    mail: { sendDue: keep({} as never), sweep: keep(0) },
    accountSweeper: { sweep: keep({ sessions: 0, tokens: 0, invitations: 0 }) },
    deletions: { eraseDue: keep({ organizations: 0, records: 0, stillPaid: 0, ...none }) },
    billing: { reconcile: keep({ kind: 'done' as const, compared: 0, changed: 0, ...none }) },
    observationFunnel: { runDue: keep({ started: 0, steps: 0 }) },
    ledgerSealer: { sealDue: keep({ organizations: 0, seals: 0, entries: 0, ...none }) },
    latePrices: { adjustDue: keep({ ...adjusted, ...none }) },
  };
}

async function resultOf(services: JobServices, name: string): Promise<string> {
  const metrics = new Metrics();
  const jobs = jobTable(services, JOB_INTERVALS);
  await new JobRuns(jobs, metrics, createLogger('silent')).run(name).catch(() => undefined);
  const text = await metrics.registry.metrics();
  return /shunt_job_runs_total\{job="\w+",result="(\w+)"\}/.exec(text)?.[1] ?? 'none';
}

test('every job is told when it has to end', async () => {
  const seen: (AbortSignal | undefined)[] = [];
  const { signal } = new AbortController();
  const jobs = jobTable(idle(seen), JOB_INTERVALS);
  for (const job of jobs) await job.run(signal);
  expect(seen).toEqual(jobs.map(() => signal));
});

test('a run that left an organization out counts as failed, however many it served', async () => {
  const erased = { organizations: 9, records: 9, stillPaid: 0, failed: 1 };
  const compared = { kind: 'done' as const, compared: 9, changed: 0, failed: 1 };
  const sealed = { organizations: 9, seals: 9, entries: 9, failed: 1 };
  const services: JobServices = {
    ...idle(),
    deletions: { eraseDue: async () => erased },
    billing: { reconcile: async () => compared },
    ledgerSealer: { sealDue: async () => sealed },
  };
  for (const name of ['erasure', 'billing_reconciliation', 'ledger_seal']) {
    expect([name, await resultOf(services, name)]).toEqual([name, 'failed']);
    expect([name, await resultOf(idle(), name)]).toEqual([name, 'done']);
  }
});

test('a reconciliation that the payment provider broke off counts as failed', async () => {
  const broken = { kind: 'interrupted' as const, compared: 9, changed: 0, failed: 0 };
  const services = { ...idle(), billing: { reconcile: async () => broken } };
  expect(await resultOf(services, 'billing_reconciliation')).toBe('failed');
});

test('a delivery that a run of the mail job begins last can end within the limit of the job', () => {
  const mail = jobTable(idle(), JOB_INTERVALS).find(({ name }) => name === 'mail');
  const { openMsMax, envelopeMsMax, bodyMsMax } = SMTP_LIMITS;
  expect(mail?.limitMs).toBeGreaterThan(RUN_MS_MAX + openMsMax + envelopeMsMax + bodyMsMax);
});
