import { createSecretKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import { promptTokens } from '../../../src/domain/pricing/unit-prices.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import { clippedView } from '../../../src/gateway/body/clipped-view.js';
import { readRequestFacts } from '../../../src/gateway/body/request-facts.js';
import type { Admitted, Planned } from '../../../src/gateway/call.js';
import type { Metering } from '../../../src/gateway/stages/meter.js';
import type { Settlement } from '../../../src/gateway/stages/relay.js';
import { savingsOf } from '../../../src/gateway/stages/savings.js';
import { sharedPrefixOf } from '../../../src/gateway/stages/shared-prefix.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { sight } from '../../../src/modules/classifier/sighting.js';
import { readUsage } from '../../../src/modules/metering/usage/read-usage.js';
import type { WireFormat } from '../../../src/modules/providers/wire-format.js';
import type { Routing } from '../../../src/modules/routing/routing-request.js';
import { explicitCacheOf } from '../../../src/modules/session-routing/explicit-cache.js';
import { SharedPrefixes } from '../../../src/modules/session-routing/shared-prefixes.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/server.js';

const START_MS = Date.parse('2026-11-20T00:00:00Z');
const DAY_MS = 24 * 60 * 60_000;
const SESSIONS = 40;
const PRICES = new PriceBook();
const TERMS = { serviceTier: null, speed: null, region: null };

/** Sessions of one call each, so many minutes apart. */
interface Application {
  readonly requested: Target;
  readonly served: Target;
  readonly minutesApart: number;
  systemOf(session: number): string;
  questionOf?(session: number): string;
}

const words = (of: string, count: number): string =>
  Array.from({ length: count }, (_, at) => `${of}${at % 97} `).join('');
const HANDBOOK = words('rule', 2_000);

let sandbox: Sandbox;
let nowMs = START_MS;
beforeAll(async () => {
  sandbox = await startSandbox({ environment: 'test', nowMs: () => nowMs });
});
afterAll(() => sandbox?.close());

function requestOf({ requested, systemOf, questionOf }: Application, session: number) {
  const question = questionOf?.(session) ?? words(`q${session}x`, 60);
  if (requested.provider === 'anthropic') {
    const mark = { cache_control: { type: 'ephemeral' } };
    return {
      format: 'anthropic_messages' as const,
      url: `${sandbox.baseUrls.anthropic}/v1/messages`,
      body: {
        model: requested.model,
        max_tokens: 100,
        system: [{ type: 'text', text: systemOf(session), ...mark }],
        messages: [{ role: 'user', content: question }],
      },
    };
  }
  return {
    format: 'openai_chat' as const,
    url: `${sandbox.baseUrls.openai}/chat/completions`,
    body: {
      model: requested.model,
      messages: [
        { role: 'system', content: systemOf(session) },
        { role: 'user', content: question },
      ],
    },
  };
}

type Request = ReturnType<typeof requestOf>;

/** What the requested model itself, in the sandbox, counts for the call. */
async function controlUsage({ url, body, format }: Request, key: string): Promise<Usage> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      'x-api-key': key,
      authorization: `Bearer ${key}`,
    },
    body: JSON.stringify(body),
  });
  const provider = format === 'anthropic_messages' ? 'anthropic' : 'openai';
  return readUsage(format, provider, [await answer.json()])!.usage;
}

/** What the ledger says that it would have cost, of the same call served by a model that keeps nothing. */
function baselineOf(
  { requested, served }: Application,
  { body, format }: Request,
  tokens: Usage,
  prefixes: SharedPrefixes,
): bigint {
  const plain = Buffer.from(JSON.stringify(body));
  const facts = factsOf(plain, format);
  const principal = {
    orgId: 'org',
    projectId: 'project',
    hashKey: createSecretKey(Buffer.alloc(32, 7)),
    negotiatedPrices: [],
  };
  const view = clippedView(plain, facts.scanned);
  const { provider } = requested;
  const sighting = sight({ principal, provider, format, headers: {}, body: view });
  const explicit = provider === 'anthropic' ? explicitCacheOf(view) : null;
  const routing = {
    inputs: { requested, auto: false, version: 'routing-1' },
    decision: { decision: 'classifier', target: served },
    sighting,
    size: { explicit, atMs: nowMs, promptTokens: 0, state: null },
  } as unknown as Routing;
  const call = {
    mode: 'active',
    decision: 'classifier',
    requestId: '0193e2b0-0000-7000-8000-000000000001',
    startedAtMs: nowMs,
    principal,
    route: { format },
    facts,
    payload: { plain, plainBytes: plain.length },
    routing,
  } as unknown as Planned;
  const sharedPrefix = sharedPrefixOf(call as Admitted, routing, prefixes);
  const usage = {
    ...NO_USAGE,
    inputTokens: promptTokens(tokens),
    outputTokens: tokens.outputTokens,
  };
  const settlement = {
    outcome: 'completed',
    attempt: { number: 0, ...served },
    decision: 'classifier',
    failed: [],
    synthetic: false,
  } as unknown as Settlement;
  const report = { usage, answeringModel: served.model, ...TERMS };
  const metering = { kind: 'reported', report } as Metering;
  const rating = PRICES.rate({ ...served, ...TERMS, atMs: nowMs, usage });
  const { entries } = savingsOf({ ...call, sharedPrefix }, settlement, metering, rating, PRICES);
  return BigInt(entries[0]!.baseline_nano_usd);
}

function factsOf(plain: Buffer, format: WireFormat) {
  const read = readRequestFacts(plain, format);
  if (!read.ok) throw new Error('the request cannot be read');
  return read.facts;
}

/** The baseline of all sessions, in percent of what the requested model itself cost for them. */
async function baselinePercent(application: Application, key: string): Promise<number> {
  nowMs = START_MS;
  const prefixes = new SharedPrefixes(null);
  // It knows the organization for longer than any cache keeps anything.
  prefixes.use({ orgId: 'org', atMs: START_MS - DAY_MS, ttlMs: 0, beginnings: [] });
  let control = 0n;
  let baseline = 0n;
  for (let session = 0; session < SESSIONS; session += 1) {
    nowMs += application.minutesApart * 60_000;
    const request = requestOf(application, session);
    const usage = await controlUsage(request, key);
    const rating = PRICES.rate({ ...application.requested, ...TERMS, atMs: nowMs, usage });
    if (rating.kind !== 'priced') throw new Error('no price');
    control += rating.costNanoUsd;
    baseline += baselineOf(application, request, usage, prefixes);
  }
  return Number((baseline * 10_000n) / control) / 100;
}

const TO_GROQ = {
  requested: { provider: 'openai', model: 'gpt-6-sol' },
  served: { provider: 'groq', model: 'openai/gpt-oss-20b' },
} as const;
const TO_HAIKU = {
  requested: { provider: 'anthropic', model: 'claude-opus-5-5' },
  served: { provider: 'anthropic', model: 'claude-haiku-5-5' },
} as const;

describe('the baseline of sessions of one call, served by a model that keeps no prefix', () => {
  it.each<[string, Omit<Application, 'systemOf'>]>([
    ['gpt-6-sol', { ...TO_GROQ, minutesApart: 10 }],
    ['claude-opus-5-5', { ...TO_HAIKU, minutesApart: 3 }],
  ])('is what a control group at %s costs, where they share a system prompt', async (name, of) => {
    const percent = await baselinePercent({ ...of, systemOf: () => HANDBOOK }, `sk-1-${name}`);
    // The provider reads whole blocks of 128 tokens, the baseline all that is shared.
    expect(percent).toBeGreaterThan(90);
    expect(percent).toBeLessThanOrEqual(100);
  });

  it.each<[string, Omit<Application, 'systemOf'>]>([
    ['gpt-6-sol', { ...TO_GROQ, minutesApart: 10 }],
    ['claude-opus-5-5', { ...TO_HAIKU, minutesApart: 3 }],
  ])('is what a control group at %s costs, where each has its own', async (name, of) => {
    const systemOf = (session: number): string => words(`own${session}x`, 2_000);
    const percent = await baselinePercent({ ...of, systemOf }, `sk-2-${name}`);
    // What claude-opus-5-5 pays on top for writing is not claimed: what is marked shows nowhere.
    expect(percent).toBeGreaterThan(name === 'claude-opus-5-5' ? 80 : 99);
    expect(percent).toBeLessThan(101);
  });

  it('is that of a cold cache where they come further apart than it keeps a prefix', async () => {
    const rare = { ...TO_GROQ, minutesApart: 31, systemOf: () => HANDBOOK };
    const percent = await baselinePercent(rare, 'sk-3');
    expect(percent).toBeGreaterThan(99);
    expect(percent).toBeLessThan(101);
  });

  it.each<[string, Pick<Application, 'systemOf' | 'questionOf'>]>([
    ['the beginning of a system prompt', { systemOf: (n) => HANDBOOK + words(`doc${n}x`, 1_000) }],
    [
      'the beginning of a question',
      { systemOf: () => 'Answer.', questionOf: (n) => HANDBOOK + words(`doc${n}x`, 100) },
    ],
  ])('is cheaper, and not far from it, where they share %s', async (name, of) => {
    const percent = await baselinePercent(
      { ...TO_GROQ, minutesApart: 10, ...of },
      `sk-4-${name.length}`,
    );
    expect(percent).toBeGreaterThan(70);
    expect(percent).toBeLessThanOrEqual(100);
  });
});
