import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { priceCommands } from '../../../src/cli/prices.js';
import type { Session } from '../../../src/cli/session.js';
import { recomputeCost } from '../../../src/domain/pricing/price-record.js';
import type { Principal } from '../../../src/modules/api-keys/principal.js';
import { NegotiatedPriceService } from '../../../src/modules/catalog/negotiated-price.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { systemClock } from '../../../src/platform/clock.js';

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  upstream.answerWith((res, { body }) =>
    json(res, {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      model: `${(JSON.parse(body.toString()) as { model: string }).model}-2026-03-05`,
      choices: [
        { index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' },
      ],
      usage: {
        prompt_tokens: 1_000,
        completion_tokens: 10,
        total_tokens: 1_010,
        prompt_tokens_details: { cached_tokens: 400 },
      },
    }),
  );
  gateway = await startGateway({
    env: { OPENAI_BASE_URL: `${upstream.origin}/v1`, OPENAI_API_KEY: 'sk-openai' },
  });
});

afterAll(async () => {
  await gateway.stop();
  await upstream.close();
});

async function call(model: string): Promise<CallRecord> {
  const answer = await request(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${gateway.projectKey}`,
      'content-type': 'application/json',
    },
    // An answer of a word, for which routing would take a cheaper model.
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'Is it?' }],
      max_completion_tokens: 1,
      reasoning_effort: 'none',
    }),
  });
  await answer.body.dump();
  expect(answer.statusCode).toBe(200);
  return gateway.record(String(answer.headers['x-shunt-request-id']));
}

async function caller(): Promise<Principal> {
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  return found.principal;
}

async function enter(options: Readonly<Record<string, string>>): Promise<void> {
  const { database, config } = gateway.app.engine;
  const session = {
    organizations: new OrganizationService(
      database,
      new SecretBox(config.encryptionKeys),
      systemClock,
    ),
    negotiatedPrices: new NegotiatedPriceService(database, systemClock),
    actor: { kind: 'command', name: 'test' },
  } as Session;
  const command = priceCommands.find(({ name }) => name === 'prices set');
  await command?.run(session, { options: { provider: 'openai', ...options }, positionals: [] });
}

function expectRecomputable(record: CallRecord): void {
  const { usage, frozen_prices: prices } = record;
  expect(recomputeCost(usage ?? {}, prices ?? {})?.toString()).toBe(record.cost_nano_usd);
}

it('a call is priced by the list before an agreement is entered, and by the agreement within 1 s after', async () => {
  const before = await call('gpt-5.4');
  expect(before).toMatchObject({
    pricing: 'priced',
    // 600 x 2,500 + 400 x 250 + 10 x 15,000 nano-USD
    cost_nano_usd: '1750000',
    frozen_prices: { inputTokens: '2500000000' },
  });
  expect(before.price_version).not.toContain('negotiated');

  await enter({ model: 'gpt-5.4', from: '2026-06-01', input: '1.20', output: '4.80' });
  const enteredAt = performance.now();
  await expect
    .poll(async () => (await caller()).negotiatedPrices.length, { timeout: 1_000, interval: 5 })
    .toBe(1);
  expect(performance.now() - enteredAt).toBeLessThan(1_000);

  const after = await call('gpt-5.4');
  expect(after).toMatchObject({
    pricing: 'priced',
    // 600 x 1,200 + 400 x 250 (the list's) + 10 x 4,800 nano-USD
    cost_nano_usd: '868000',
    baseline_cost_nano_usd: '868000',
    price_version: `${before.price_version}+negotiated.2026-06-01.0`,
    frozen_prices: {
      inputTokens: '1200000000',
      cacheReadTokens: '250000000',
      outputTokens: '4800000000',
    },
  });
  for (const record of [before, after]) expectRecomputable(record);
  // What was recorded keeps its price.
  expect(await gateway.record(before.request_id)).toEqual(before);
});

it('what routing would have cost is priced by the agreement about the other model', async () => {
  const { projected_model: model, cost_nano_usd: served } = await call('gpt-6-sol');
  if (model === null || model === 'gpt-6-sol') throw new Error(`projected: ${model}`);
  await enter({
    model,
    from: '2026-06-01',
    input: '0.000001',
    output: '0',
    'cache-read': '0',
  });
  await expect
    .poll(async () => (await caller()).negotiatedPrices.length, { timeout: 1_000, interval: 5 })
    .toBe(2);
  // 600 x 0.001 = 0.6 nano-USD, rounded once
  expect(await call('gpt-6-sol')).toMatchObject({
    cost_nano_usd: served,
    projected_cost_nano_usd: '1',
  });
});
