import { expect } from 'vitest';
import type { NegotiatedPrices } from '../../../src/domain/pricing/negotiated-prices.js';
import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import { baselineUsage, SAME_TOKENIZER } from '../../../src/domain/savings/baseline-usage.js';
import {
  failedAttemptEntry,
  routedEntry,
  type LedgerCall,
} from '../../../src/domain/savings/ledger-entries.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import { buildCatalog } from '../../../src/modules/catalog/catalog.js';
import {
  NegotiatedPriceService,
  type NewAgreement,
} from '../../../src/modules/catalog/negotiated-price.service.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { RecordStore } from '../../../src/modules/records/record-store.js';
import { systemSchedule } from '../../../src/modules/records/schedule.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { ACTOR } from '../../support/tenants.js';
import { finalOf, startOf } from '../records/record-samples.js';

export const DAY_MS = 86_400_000;
export const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;
export const CALLED_AT_MS = TODAY_MS - 3 * DAY_MS + 40_000;

export const CATALOG = buildCatalog();
export const BOOK = new PriceBook(CATALOG);
export const DEAR: Target = { provider: 'openai', model: 'gpt-6.2-sol' };
export const CHEAP: Target = { provider: 'openai', model: 'gpt-5.4-mini' };
export const UNLISTED: Target = { provider: 'openai', model: 'a-model-that-no-list-has' };
export const USAGE: Usage = {
  ...NO_USAGE,
  inputTokens: 1_201,
  cacheReadTokens: 333,
  outputTokens: 257,
};
const CACHE = { readTokens: 200, writeTokens: 1_000, writeTtl: '30m' } as const;
export const BASELINE = baselineUsage(USAGE, SAME_TOKENIZER, CACHE);

export interface Made {
  readonly database: Database;
  readonly orgId: string;
  readonly atMs?: number;
  readonly served?: Target;
  readonly serviceTier?: string | null;
  readonly negotiated?: readonly NegotiatedPrices[];
  readonly book?: PriceBook;
  readonly failed?: Target;
  readonly recorded?: boolean;
}

/** A routed call with everything that the gateway stores of it. */
export async function routedCall(made: Made): Promise<CallRecord> {
  const { orgId, served = CHEAP, serviceTier = 'default', failed, recorded = true } = made;
  const { negotiated = [], book = BOOK } = made;
  const start = startOf(made.atMs ?? CALLED_AT_MS, {
    org_id: orgId,
    decision: 'classifier',
    mode: 'active',
    provider: served.provider,
  });
  const terms = { serviceTier, speed: null, region: null };
  const rated = (target: Target, usage: Usage) =>
    book.rate({ ...target, ...terms, usage, atMs: start.started_at_ms, negotiated });
  const call: LedgerCall = {
    orgId,
    requestId: start.request_id,
    projectId: start.project_id,
    atMs: start.started_at_ms,
    synthetic: false,
    auto: false,
    source: 'classifier',
    rulesVersion: 'routing-1',
    baseline: DEAR,
  };
  const accounted = routedEntry({
    ...call,
    served,
    metering: 'reported',
    usage: USAGE,
    servedRating: rated(served, USAGE),
    ratio: SAME_TOKENIZER,
    cache: CACHE,
    baselineReasons: true,
    rateBaseline: (usage) => rated(DEAR, usage),
  });
  const attempts = failed === undefined ? [] : [0, 1];
  const costs = attempts.map((attempt) => {
    const usage = { ...NO_USAGE, inputTokens: 77 };
    const tried = failed ?? CHEAP;
    return failedAttemptEntry({ ...call, attempt, tried, usage, rating: rated(tried, usage) });
  });
  const record = finalOf(start, {
    served_model: served.model,
    service_tier: serviceTier,
    ledger: [...(costs as LedgerEntry[]), ...(accounted.kind === 'entry' ? [accounted.entry] : [])],
    ...(accounted.kind === 'excluded' && accounted.unpriced
      ? {
          unpriced: {
            ...accounted.unpriced,
            service_tier: serviceTier,
            speed: null,
            region: null,
          },
        }
      : {}),
  });
  if (recorded) await store(made.database, record);
  else await made.database.tenant(orgId, (q) => appendEntriesWithin(q, record.ledger ?? []));
  return record;
}

export async function store(database: Database, record: CallRecord): Promise<void> {
  const queued = {
    orgId: record.org_id,
    requestId: record.request_id,
    startedAtMs: record.started_at_ms,
    revision: record.revision,
    json: JSON.stringify(record),
    queuedAtMs: 0,
    origin: { settled: () => undefined },
  };
  await new RecordStore(database, systemSchedule).store(record.org_id, [queued], ({ refused }) =>
    expect(refused).toBeNull(),
  );
}

export async function agree(
  database: Database,
  orgId: string,
  rest: Partial<NewAgreement> = {},
): Promise<void> {
  const agreements = new NegotiatedPriceService(database, systemClock);
  const entered = await agreements.enter(
    orgId,
    {
      ...CHEAP,
      effectiveFromMs: TODAY_MS - 5 * DAY_MS,
      prices: { inputTokens: 123_456_789n },
      tiers: [],
      ...rest,
    },
    ACTOR,
  );
  expect(entered.kind).toBe('entered');
}
