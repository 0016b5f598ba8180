import type { AccountSweeper } from '../modules/accounts/account-sweeper.js';
import type { BillingService } from '../modules/billing/billing.service.js';
import type { LatePrices } from '../modules/ledger/late-prices.js';
import type { LedgerSealer } from '../modules/ledger/ledger-sealer.js';
import type { DeletionService } from '../modules/leaving/deletion.service.js';
import type { MailSender } from '../modules/mail/mail-sender.js';
import type { ObservationFunnel } from '../modules/observation/observation-funnel.js';

/** How often, or at which times (cron, UTC). */
export type JobSchedule = { readonly everyMs: number } | { readonly pattern: string };

export interface Job {
  readonly name: string;
  readonly schedule: JobSchedule;
  /** A run that takes longer counts as failed, and is asked to end. */
  readonly limitMs: number;
  /** May end anywhere and run beside itself: what it does is in transactions that are each done once. */
  run(signal: AbortSignal): Promise<unknown>;
}

/** The services that have something to do by themselves. */
export interface JobServices {
  readonly mail: Pick<MailSender, 'sendDue' | 'sweep'>;
  readonly accountSweeper: Pick<AccountSweeper, 'sweep'>;
  readonly deletions: Pick<DeletionService, 'eraseDue'>;
  readonly billing: Pick<BillingService, 'reconcile'>;
  readonly observationFunnel: Pick<ObservationFunnel, 'runDue'>;
  readonly ledgerSealer: Pick<LedgerSealer, 'sealDue'>;
  readonly latePrices: Pick<LatePrices, 'adjustDue'>;
}

/** Some of what a run was to do failed, or was not reached; the rest was done. The next run tries again. */
export class IncompleteRun extends Error {
  override readonly name = 'IncompleteRun';
}

/** Intervals that a test may shorten. */
export interface JobIntervals {
  readonly mailMs: number;
  readonly observationMs: number;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export const JOB_INTERVALS: JobIntervals = {
  mailMs: 5 * SECOND_MS,
  observationMs: MINUTE_MS,
};

/** Everything that happens without being asked for. A new job is a new line. */
export function jobTable(services: JobServices, intervals: JobIntervals): readonly Job[] {
  const { mail, accountSweeper, deletions, billing, observationFunnel, ledgerSealer, latePrices } =
    services;
  return [
    {
      name: 'mail',
      schedule: { everyMs: intervals.mailMs },
      // A run begins no delivery after its 2 minutes; the last one may take 6.5 (smtp-transport.ts).
      limitMs: 10 * MINUTE_MS,
      run: (signal) => mail.sendDue(signal),
    },
    {
      name: 'mail_sweep',
      schedule: { pattern: '0 20 3 * * *' },
      limitMs: 10 * MINUTE_MS,
      run: (signal) => mail.sweep(signal),
    },
    {
      name: 'observation',
      schedule: { everyMs: intervals.observationMs },
      limitMs: 5 * MINUTE_MS,
      run: (signal) => observationFunnel.runDue(signal),
    },
    {
      name: 'billing_reconciliation',
      schedule: { pattern: '0 40 2 * * *' },
      limitMs: HOUR_MS,
      run: async (signal) => whole(await billing.reconcile(signal)),
    },
    {
      name: 'erasure',
      schedule: { everyMs: HOUR_MS },
      limitMs: HOUR_MS,
      run: async (signal) => whole(await deletions.eraseDue(signal)),
    },
    {
      name: 'ledger_seal',
      schedule: { everyMs: MINUTE_MS },
      limitMs: 5 * MINUTE_MS,
      run: async (signal) => whole(await ledgerSealer.sealDue(signal)),
    },
    {
      name: 'ledger_prices',
      schedule: { everyMs: HOUR_MS },
      limitMs: HOUR_MS / 2,
      run: async (signal) => whole(await latePrices.adjustDue(signal)),
    },
    {
      name: 'accounts_sweep',
      schedule: { pattern: '0 0 3 * * *' },
      limitMs: 10 * MINUTE_MS,
      run: (signal) => accountSweeper.sweep(signal),
    },
  ];
}

/** A run that left somebody out is no success, however many it served. */
function whole(run: { readonly failed: number; readonly kind?: string }): void {
  if (run.failed > 0 || run.kind === 'interrupted') {
    throw new IncompleteRun(`${run.failed} failed`);
  }
}
