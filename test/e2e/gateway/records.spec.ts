import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEEP_ALIVE_MS } from '../../../src/gateway/gateway.server.js';
import { PASSTHROUGH_LIMITS } from '../../../src/gateway/stages/forward.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startGateway();
});

afterAll(async () => {
  await gateway.stop();
});

async function chat(headers: Record<string, string>, fields: object = {}) {
  const answer = await request(`${gateway.origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.projectKey}`, ...headers },
    body: JSON.stringify({
      model: 'gpt-5.4',
      messages: [{ role: 'user', content: 'Hello' }],
      ...fields,
    }),
  });
  await answer.body.dump();
  return gateway.record(String(answer.headers['x-shunt-request-id']));
}

describe('a record', () => {
  it('says who asked for what, how long it took, and that the sandbox answered', async () => {
    const record = await chat({
      'x-shunt-customer-id': 'customer-7',
      'x-shunt-tags': 'checkout, beta',
      'x-stainless-retry-count': '2',
    });
    expect(record).toMatchObject({
      provider: 'openai',
      operation: 'chat',
      requested_model: 'gpt-5.4',
      served_model: expect.stringMatching(/^gpt-5\.4/) as string,
      decision: 'passthrough',
      mode: 'observing',
      outcome: 'completed',
      metering: 'reported',
      pricing: 'priced',
      synthetic: true,
      customer_id: 'customer-7',
      tags: ['checkout', 'beta'],
      client_retry: 2,
      revision: 1,
    });
    expect(record.latency_ms).toBeGreaterThanOrEqual(record.time_to_first_byte_ms!);
    expect(record.upstream_request_id).toMatch(/^req_/);
    expect(record.route_class).toMatch(/^[\w-]{22}$/);
  });

  it('tells calls of one session from those of another, by any of the names that a session goes by', async () => {
    const [a, again, b] = [
      await chat({ 'x-shunt-session-id': 's1' }),
      await chat({ 'Helicone-Session-Id': 's1' }),
      await chat({}, { prompt_cache_key: 's2' }),
    ];
    expect(a.session_key).toBe(again.session_key);
    expect(a.session_key).not.toBe(b.session_key);
    expect(JSON.stringify(a)).not.toContain('"s1"');
  });

  it('holds what would have been routed: the verdict in closed words, the projected model and its cost', async () => {
    const record = await chat({});
    expect(record.classification).toMatchObject({
      verdict: 'abstain',
      version: expect.any(String) as string,
    });
    expect(record.projected_model).toBe('gpt-5.4');
    expect(record.projected_cost_nano_usd).toBe(record.cost_nano_usd);
  });

  it('is what the application reads of it, and sums leave synthetic calls out unless they are asked for', async () => {
    const record = await chat({});
    const read = async (path: string) => {
      const answer = await request(gateway.origin + path, {
        headers: { authorization: `Bearer ${gateway.projectKey}` },
      });
      return (await answer.body.json()) as Record<string, unknown>;
    };
    expect(await read(`/shunt/v1/requests/${record.request_id}`)).toMatchObject({
      request_id: record.request_id,
      cost_nano_usd: record.cost_nano_usd,
    });
    const total = (await gateway.records()).reduce(
      (sum, row) => sum + BigInt(row.cost_nano_usd ?? 0),
      0n,
    );
    expect(await read('/shunt/v1/usage')).toMatchObject({ calls: 0, costNanoUsd: '0' });
    expect(await read('/shunt/v1/usage?include_synthetic=true')).toMatchObject({
      costNanoUsd: total.toString(),
    });
  });
});

describe('time limits', () => {
  it("in passthrough are never shorter than the SDKs' own 600 s", () => {
    for (const limit of Object.values(PASSTHROUGH_LIMITS))
      expect(limit).toBeGreaterThanOrEqual(600_000);
  });

  it('on idle connections are longer than those of the balancers in front (600 s)', () => {
    expect(KEEP_ALIVE_MS).toBeGreaterThan(600_000);
  });
});
