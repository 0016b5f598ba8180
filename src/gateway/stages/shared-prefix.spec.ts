import { createSecretKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Routing } from '../../modules/routing/routing-request.js';
import type { PrefixCall } from '../../modules/session-routing/warm-prefixes.js';
import { sight } from '../../modules/classifier/sighting.js';
import { readRequestFacts } from '../body/request-facts.js';
import type { Admitted } from '../call.js';
import { sharedPrefixOf, warmBytes } from './shared-prefix.js';

const SOL = { provider: 'openai', model: 'gpt-6-sol' } as const;
const RULES = 'Be exact and brief. '.repeat(500);

interface Case {
  readonly system?: string;
  readonly question?: string;
  readonly tools?: readonly object[];
  readonly projectId?: string;
  readonly requested?: {
    readonly provider: 'openai' | 'groq' | 'anthropic';
    readonly model: string;
  };
}

/** A request's beginnings as they are noted, and what is known of it where all of them were in use. */
function noted({ system = RULES, question = 'Is it?', tools, ...more }: Case) {
  const { projectId = 'project', requested = SOL } = more;
  const messages = [
    { role: 'system', content: system },
    { role: 'user', content: question },
  ];
  const plain = Buffer.from(JSON.stringify({ model: 'gpt-6-sol', messages, tools }));
  const read = readRequestFacts(plain, 'openai_chat');
  if (!read.ok) throw new Error(read.reason);
  const principal = { orgId: 'org', projectId, hashKey: createSecretKey(Buffer.alloc(32, 7)) };
  const call = { principal, facts: read.facts, payload: { plain, plainBytes: plain.length } };
  const body: unknown = JSON.parse(plain.toString());
  const { provider } = SOL;
  const sighting = sight({ principal, provider, format: 'openai_chat', headers: {}, body });
  const routing = { inputs: { requested }, sighting, size: { explicit: null } };
  let beginnings: readonly string[] = [];
  const use = (given: PrefixCall) => {
    ({ beginnings } = given);
    return { known: given.beginnings.length };
  };
  const shared = sharedPrefixOf(call as unknown as Admitted, routing as unknown as Routing, {
    use,
  });
  return { beginnings, shared };
}

/** How many beginnings two requests have in common. */
function inCommon(one: Case, other: Case): number {
  const [a, b] = [noted(one).beginnings, noted(other).beginnings];
  return a.filter((beginning, at) => b[at] === beginning).length;
}

describe('the beginning of a prompt', () => {
  it('is known again by the same prompt, as far as it is the same', () => {
    expect(noted({}).beginnings).toHaveLength(3);
    expect(inCommon({}, { question: 'Was it?' })).toBe(3);
    expect(inCommon({}, { system: RULES.slice(0, 5_000) + 'x'.repeat(5_000) })).toBe(2);
    expect(inCommon({}, { system: `x${RULES}` })).toBe(0);
  });

  it('begins with the tools, as caches see it', () => {
    const parameters = { type: 'object', properties: { a: { description: 'd'.repeat(5_000) } } };
    const tools = [{ type: 'function', function: { name: 'f', parameters } }];
    expect(inCommon({ tools }, { tools, system: `x${RULES}` })).toBe(2);
    expect(inCommon({ tools }, {})).toBe(0);
  });

  it('is shared by the projects of an organization, whose key at the provider is one', () => {
    expect(inCommon({}, { projectId: 'other' })).toBe(3);
  });

  it('is that of one requested model: no other’s cache would have it', () => {
    expect(inCommon({}, { requested: { ...SOL, model: 'gpt-6.1-sol' } })).toBe(0);
  });

  it('is not noted where the requested model would keep none', () => {
    const none = { beginnings: [], shared: null };
    expect(noted({ system: 'Be brief.' })).toEqual(none);
    expect(noted({ requested: { provider: 'groq', model: 'qwen/qwen3-32b' } })).toEqual(none);
    expect(noted({ requested: { provider: 'anthropic', model: 'claude-opus-5' } })).toEqual(none);
  });

  it('is bounded, however long the prompt is', () => {
    expect(noted({ system: RULES.repeat(100) }).beginnings).toHaveLength(6);
  });
});

describe('what of a request counts as in use', () => {
  const of = (known: number, leadingBytes: number) =>
    warmBytes({ use: { known }, checkpoints: 4, leadingBytes, bodyBytes: 20_000 });

  it('is nothing where nothing was seen before', () => {
    expect(of(0, 18_000)).toBe(0);
  });

  it('reaches to the next checkpoint, where it is not known how far it reaches', () => {
    expect(of(2, 18_000)).toBe(8_192);
    expect(of(1, 3_000)).toBe(3_000);
  });

  it('is the tools and the system prompt where all checkpoints are known', () => {
    expect(of(4, 18_000)).toBe(18_000);
    const { shared } = noted({ question: 'y'.repeat(2_000) });
    const bytes = warmBytes(shared!);
    expect(bytes).toBeGreaterThanOrEqual(RULES.length);
    expect(bytes).toBeLessThan(RULES.length + 150);
  });

  it('is more where the messages begin alike too', () => {
    expect(of(3, 1_000)).toBe(16_384);
    expect(of(4, 1_000)).toBe(20_000);
  });
});
