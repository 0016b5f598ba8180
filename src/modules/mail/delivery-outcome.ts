import type { MailOutcome } from './outbox.store.js';
import type { Delivery } from './mail-transport.js';

export const ATTEMPTS_MAX = 12;
const MINUTE_MS = 60_000;
const BACKOFF_MS_MAX = 6 * 60 * MINUTE_MS;

/** 1 minute after the first attempt, then twice as long each time, 6 hours at most. */
export function backoffMs(attempts: number): number {
  return Math.min(MINUTE_MS * 2 ** Math.max(attempts - 1, 0), BACKOFF_MS_MAX);
}

/** What becomes of a row after an attempt. Pure: `atMs` is when the attempt ended. */
export function outcomeOf(delivery: Delivery, attempts: number, atMs: number): MailOutcome {
  switch (delivery.kind) {
    case 'accepted':
      return { state: 'sent', atMs, error: null };
    case 'unknown':
      return { state: 'unconfirmed', atMs, error: delivery.reason };
    case 'refused':
      if (delivery.recipientUnknown) {
        return { state: 'undeliverable', atMs, error: delivery.reason };
      }
      return again(delivery.reason, attempts, atMs);
    case 'not_sent':
      return again(delivery.reason, attempts, atMs);
  }
}

function again(reason: string, attempts: number, atMs: number): MailOutcome {
  if (attempts >= ATTEMPTS_MAX) return { state: 'failed', atMs, error: reason };
  return { state: 'pending', atMs, error: reason, nextAttemptAtMs: atMs + backoffMs(attempts) };
}
