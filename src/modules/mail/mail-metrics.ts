import type { Metrics } from '../../platform/telemetry/metrics.js';
import { MAIL_KINDS, type MailKind } from './outbox.js';

/** How mails end, for whoever counts. */
export type MailEnd = 'sent' | 'failed' | 'unconfirmed' | 'undeliverable' | 'skipped';

export interface MailObserver {
  ended(kind: MailKind, end: MailEnd): void;
  /** Put back for another attempt. */
  deferred(kind: MailKind): void;
  serverAway(): void;
  backlog(waiting: number, oldestAgeMs: number): void;
}

const ENDS = ['sent', 'failed', 'unconfirmed', 'undeliverable', 'skipped'] as const;

export function mailMetrics(metrics: Metrics): MailObserver {
  const ended = metrics.counter(
    'shunt_mails_total',
    'Mails by kind and how they ended; unconfirmed ones may or may not have arrived and are not sent again',
    ['kind', 'end'],
  );
  for (const kind of MAIL_KINDS) for (const end of ENDS) ended.inc({ kind, end }, 0);
  const deferred = metrics.counter(
    'shunt_mail_retries_total',
    'Attempts after which a mail waits for another one, by kind',
    ['kind'],
  );
  const away = metrics.counter(
    'shunt_mail_server_away_total',
    'Times that no session with the mail server could be had',
  );
  const waiting = metrics.gauge('shunt_mails_waiting', 'Mails that are still to be sent');
  const oldest = metrics.gauge(
    'shunt_mail_oldest_age_seconds',
    'Age of the oldest mail that is still to be sent; 0 where none is',
  );
  return {
    ended: (kind, end) => ended.inc({ kind, end }),
    deferred: (kind) => deferred.inc({ kind }),
    serverAway: () => away.inc(),
    backlog: (count, oldestAgeMs) => {
      waiting.set(count);
      oldest.set(oldestAgeMs / 1000);
    },
  };
}

export const NO_OBSERVER: MailObserver = {
  ended: () => undefined,
  deferred: () => undefined,
  serverAway: () => undefined,
  backlog: () => undefined,
};
