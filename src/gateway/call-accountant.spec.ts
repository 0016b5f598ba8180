import { describe, expect, it, vi } from 'vitest';
import { NO_FACTS } from '../domain/classification/prompt-facts.js';
import { PriceBook } from '../modules/catalog/price-book.js';
import type { CallRecord } from '../modules/records/call-record.js';
import { CallAccountant, type AccountantParts } from './call-accountant.js';
import type { Planned } from './call.js';
import type { Settlement } from './stages/relay.js';

const REQUESTED = { provider: 'openai', model: 'gpt-6-sol' } as const;
const SERVED = { provider: 'openai', model: 'gpt-6-luna' } as const;

const ATTEMPT = { number: 0, ...SERVED, upstream: { synthetic: false } };

const CALL = {
  mode: 'active',
  decision: 'classifier',
  requestId: '0193e2b0-0000-7000-8000-000000000001',
  startedAtMs: Date.parse('2026-11-20T12:00:00Z'),
  startedAt: 0,
  model: REQUESTED.model,
  requested: REQUESTED.model,
  streamed: false,
  payload: { plain: Buffer.alloc(0), plainBytes: 0, rawBytes: 0 },
  attempt: ATTEMPT,
  facts: null,
  req: { method: 'POST', headers: {} },
  route: { provider: 'openai', operation: 'chat', format: 'openai_chat' },
  principal: { orgId: 'org', projectId: 'project', negotiatedPrices: [] },
  routing: {
    inputs: { requested: REQUESTED, auto: false, version: 'routing-1' },
    decision: { decision: 'classifier', target: SERVED },
    sighting: { reading: { facts: NO_FACTS } },
    size: { explicit: null, atMs: 0, promptTokens: 0, state: null },
  },
  sharedPrefix: null,
} as unknown as Planned;

const SETTLEMENT = {
  outcome: 'completed',
  status: 200,
  errorCode: null,
  ...answeredBy(SERVED.model),
  sent: true,
  firstByteAt: null,
  responseBytes: 0,
  attempt: ATTEMPT,
  synthetic: false,
  decision: 'classifier',
  failed: [],
} as unknown as Settlement;

function answeredBy(model: string): Pick<Settlement, 'findings'> {
  const usage = { prompt_tokens: 1_000, completion_tokens: 100 };
  return { findings: { usageEvents: [{ model, usage }] } } as unknown as Settlement;
}

/** The record that a routed call leaves, and whether its end was told. */
function settled(prices: PriceBook, changes: Partial<Settlement> = {}) {
  const records: CallRecord[] = [];
  const told = vi.fn<() => void>();
  const excluded = vi.fn<(reason: string) => void>();
  const accountant = new CallAccountant({
    records: { start: () => {}, finish: (record: CallRecord) => records.push(record) },
    prices,
    // The shadow would have taken a third model.
    shadow: () => ({ projectedModel: 'gpt-6-terra', sessionKey: null, tags: [] }),
    estimator: { estimate: () => Promise.resolve({ inputTokens: 1_000, outputTokens: 50 }) },
    ends: { ended: told, noteSession: () => {} },
    metrics: { ended: () => {}, failed: () => {}, excluded },
    logger: { debug: () => {}, error: () => {} },
  } as unknown as AccountantParts);
  accountant.settled(CALL, { ...SETTLEMENT, ...changes }, () => {});
  return { record: records[0], records, told, excluded };
}

describe('the record of a routed call', () => {
  it('says that an attempt before it may have cost what nobody knows', () => {
    const attempt = { ...ATTEMPT, model: 'gpt-4.1-nano' };
    const failed = [{ attempt, usage: 'unknown' }] as unknown as Settlement['failed'];
    const { record } = settled(new PriceBook(), { failed });
    expect(record).toMatchObject({ pricing: 'priced', ledger: [] });
    expect(record?.routing).toHaveProperty('unknownCostAttempts', 1);
    expect(settled(new PriceBook()).record?.routing).not.toHaveProperty('unknownCostAttempts');
  });

  it('says why it has no entry in the word by which it is counted', () => {
    const attempt = { ...ATTEMPT, model: 'gpt-4.1-nano' };
    const failed = [{ attempt, usage: 'unknown' }] as unknown as Settlement['failed'];
    const elsewhere = settled(new PriceBook(), { decision: 'fallback', failed });
    expect(elsewhere.record?.routing).toHaveProperty('excluded', 'unpriceable');
    expect(elsewhere.excluded.mock.calls).toEqual([['unpriceable']]);
    const asked = { ...ATTEMPT, model: REQUESTED.model } as Settlement['attempt'];
    const back = settled(new PriceBook(), {
      decision: 'fallback',
      attempt: asked,
      ...answeredBy(REQUESTED.model),
    });
    expect(back.record?.routing).toHaveProperty('excluded', 'failed');
    expect(back.excluded.mock.calls).toEqual([['failed']]);
    const routed = settled(new PriceBook());
    expect(routed.record?.routing).not.toHaveProperty('excluded');
    expect(routed.excluded).not.toHaveBeenCalled();
  });

  it('projects the model that it went to, whose cost it states', () => {
    const { record } = settled(new PriceBook());
    expect(record).toMatchObject({ served_model: SERVED.model, projected_model: SERVED.model });
    expect(record?.projected_cost_nano_usd).toBe(record?.cost_nano_usd);
    expect(record?.ledger).toHaveLength(1);
  });

  it('estimates an answer that was cut short as one of the model that gave it', async () => {
    const findings = { usageEvents: [] } as unknown as Settlement['findings'];
    const cut = { outcome: 'client_aborted', reader: null, findings } as const;
    const { records } = settled(new PriceBook(), cut);
    await expect
      .poll(() => records[1])
      .toMatchObject({
        metering: 'estimated',
        pricing: 'priced',
        served_model: SERVED.model,
        projected_model: SERVED.model,
        ledger: [],
      });
  });

  it('keeps the cost, and the end is told, when its savings cannot be worked out', () => {
    const prices = new PriceBook();
    const rate = prices.rate.bind(prices);
    vi.spyOn(prices, 'rate').mockImplementation((request) => {
      if (request.model === REQUESTED.model) throw new Error('a fault in the baseline');
      return rate(request);
    });
    const { record, told } = settled(prices);
    expect(record).toMatchObject({ metering: 'reported', pricing: 'priced', ledger: [] });
    expect(record?.baseline_cost_nano_usd).toBe(record?.cost_nano_usd);
    expect(told).toHaveBeenCalledOnce();
  });
});
