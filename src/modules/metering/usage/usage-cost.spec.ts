import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Provider } from '../../../domain/routing/provider.js';
import { PriceBook } from '../../catalog/price-book.js';
import type { WireFormat } from '../../providers/wire-format.js';
import { readUsage } from './read-usage.js';

interface Fixture {
  readonly name: string;
  readonly provider: Provider;
  readonly format: WireFormat;
  readonly events: readonly unknown[];
}

const BOOK = new PriceBook();
const NOW = '2026-11-20';

/** What an answer costs, from its bytes to nano-USD; the requested model stands in where it names none. */
function costOfAnswer(file: string, name: string, date: string, requestedModel: string | null) {
  const url = new URL(`../../../../test/fixtures/usage/${file}.json`, import.meta.url);
  const all = JSON.parse(readFileSync(url, 'utf8')) as Fixture[];
  const fixture = all.find((candidate) => candidate.name === name);
  if (fixture === undefined) throw new Error(`no fixture ${file}: ${name}`);
  const report = readUsage(fixture.format, fixture.provider, fixture.events);
  if (report === null) throw new Error(`no usage in ${file}: ${name}`);
  const rating = BOOK.rate({
    ...report,
    provider: fixture.provider,
    model: report.answeringModel ?? requestedModel,
    atMs: Date.parse(`${date}T00:00:00Z`),
  });
  return rating.kind === 'priced' ? rating.costNanoUsd : rating.reason;
}

type Row = readonly [file: string, name: string, expected: bigint | string, date?: string];

/** Nano-USD a token = dollars a million x 1000. Each sum was worked out by hand from the price lists. */
const OPENAI: readonly Row[] = [
  // gpt-4o: 1000 x 2500 + 200 x 10000
  ['openai-chat', 'plain answer', 4_500_000n],
  // gpt-5.4-mini: 50 x 750 + 7 x 4500
  ['openai-chat', 'usage chunk of a stream, before it every chunk has null usage', 69_000n],
  // gpt-4o-mini: 40 x 150 + 4 x 600, once
  ['openai-chat', 'the same usage chunk twice is counted once', 8_400n],
  // gpt-5.1: 952 x 1250 + 2048 x 125 + 100 x 10000
  ['openai-chat', 'cached tokens are inside the prompt', 2_446_000n],
  // gpt-6-sol: 1000 x 2000 + 2000 x 200 + 3000 x 2500 + 10 x 10000
  ['openai-chat', 'cache writes are inside the prompt, beside the reads', 10_000_000n],
  // gpt-5-mini: 10 x 250 + 900 x 2000, reasoning included
  ['openai-chat', 'reasoning and rejected predictions are inside the completion', 1_802_500n],
  // gpt-audio: 100 x 2500 + 400 x 32000 + 50 x 10000 + 250 x 64000
  ['openai-chat', 'audio in and out is taken out of the text', 29_550_000n],
  // gpt-5.4, images at the text price: 800 x 2500 + 1200 x 250 + 5 x 15000
  ['openai-chat', 'image tokens, part of the prompt cached', 2_375_000n],
  // gpt-5.4 above 272K, flex: 1,000,000 x 2500 x 2 x 0.5
  ['openai-chat', 'flex tier', 2_500_000_000n],
  // gpt-5.4 priority: 2000 x 5000 + 300 x 30000
  ['openai-chat', 'priority tier, named in an earlier chunk only', 19_000_000n],
  // gpt-5.6-luna: 1200 x 200 + 300 x 1200
  ['openai-responses', 'plain body', 600_000n],
  // gpt-6.1-sol: 1000 x 2000 + 4000 x 100 + 3000 x 2500 + 2000 x 5000 + 400 x 10000
  ['openai-responses', 'response.completed with cache writes of both lifetimes', 23_900_000n],
  // gpt-6-astra: 952 x 10000 + 2048 x 12500 + 1 x 50000
  ['openai-responses', 'cache writes without lifetimes are the default 30 minutes', 35_170_000n],
  // gpt-5.5: 80 x 5000 + 4096 x 30000
  ['openai-responses', 'response.incomplete has the usage until then', 123_280_000n],
  // gpt-5.4: 10000 x 2500 + 1000 x 15000 + 3 searches x 10,000,000
  ['openai-responses', 'web searches are reported beside the usage', 70_000_000n],
  ['openai-responses', 'generated images are tokens of another kind', 'no_price_for_dimension'],
  ['openai-responses', 'ultrafast tier', 'unknown_service_tier'],
  // text-embedding-3-small: 8191 x 20
  ['embeddings', 'OpenAI embeddings', 163_820n],
];

const ANTHROPIC: readonly Row[] = [
  // claude-haiku-4-5: 1000 x 1000 + 500 x 5000
  ['anthropic-messages', 'plain body', 3_500_000n],
  // claude-sonnet-5-5: 12 x 2000 + 9000 x 100 + 1000 x 2500 + 2000 x 4000 + 88 x 10000
  ['anthropic-messages', 'cache reads and writes stand beside the input', 12_304_000n],
  // before 2026-10-07 its cache reads cost 200: 900,000 more
  [
    'anthropic-messages',
    'cache reads and writes stand beside the input',
    13_204_000n,
    '2026-10-06',
  ],
  // claude-opus-5-5: 12 x 4000 + 9000 x 200 + 88 x 20000
  ['anthropic-messages', 'stream: the delta is cumulative and overwrites', 3_608_000n],
  // claude-sonnet-5: 10682 x 2000 + 510 x 10000 + 2 searches x 10,000,000; fetching is free
  [
    'anthropic-messages',
    'stream with server tools: more input and searches in the delta',
    46_464_000n,
  ],
  // claude-haiku-5-5: 400 x 100 + 2 x 500
  ['anthropic-messages', 'aborted stream: message_start only', 41_000n],
  // claude-opus-5-5, fast and US stacked (x 2 x 1.1): 1000 x 8800 + 1000 x 44000
  ['anthropic-messages', 'fast, in the US', 52_800_000n],
  // claude-opus-5: 4500 x 5000 + 20 x 500 + 30 x 6250 + 800 x 25000
  ['anthropic-messages', 'beta: compaction is in the iterations only', 42_697_500n],
];

const GOOGLE: readonly Row[] = [
  // gemini-4-argon: 388 x 2000 + 512 x 100 + 100 x 10000; everything doubles on 2026-12-01
  ['google-generate-content', 'plain answer: thoughts are outside the candidates', 1_827_200n],
  [
    'google-generate-content',
    'plain answer: thoughts are outside the candidates',
    1_827_200n,
    '2026-11-30',
  ],
  [
    'google-generate-content',
    'plain answer: thoughts are outside the candidates',
    3_654_400n,
    '2026-12-01',
  ],
  // gemini-3.8-flash: 10 x 750 + 90 x 3750; doubles on 2027-01-01
  ['google-generate-content', 'stream: the last usage counts, it is cumulative', 345_000n],
  [
    'google-generate-content',
    'stream: the last usage counts, it is cumulative',
    690_000n,
    '2027-01-01',
  ],
  // gemini-3.5-flash: 2600 x 1500 + 50 x 9000
  ['google-generate-content', 'tool results are outside the prompt', 4_350_000n],
  // gemini-2.5-flash: (442 + 258) x 300 + 500 x 1000 + 100 x 30 + 700 x 100 + 10 x 2500
  ['google-generate-content', 'audio, image, and their cached part', 808_000n],
  // gemini-2.5-flash-image: 10 x 300 + 10 x 2500 + 1290 x 30000
  ['google-generate-content', 'images in the candidates', 38_728_000n],
  // gemini-3.8-flash, priority x 1.8: 1000 x 1350 + 1000 x 6750
  ['google-generate-content', 'priority tier', 8_100_000n],
  // gemini-3.5-flash: 10 x 1500 + 20 x 9000 + 2 queries x 14,000,000
  ['google-generate-content', 'grounding: one search per query', 28_195_000n],
  // priced as the answering gemini-3.5-flash-lite: 1000 x 300 + 10 x 2500
  ['google-generate-content', 'rerouted model: the answering one is named', 325_000n, '2026-12-02'],
  // gemini-3.8-flash: 21 x 750 + 69 x 3750
  ['openai-chat', "Gemini's OpenAI-compatible endpoint: thoughts only in the total", 274_500n],
];

const GROQ: readonly Row[] = [
  // openai/gpt-oss-120b: 188 x 150 + 512 x 75 + 90 x 600
  ['groq', 'plain answer; x_groq has cache-hardware statistics', 120_600n],
  // qwen/qwen3-32b: 30 x 290 + 12 x 590
  ['groq', 'final chunk of a stream', 15_780n],
  // openai/gpt-oss-20b: 100 x 75 + 20 x 300, once
  ['groq', 'usage and x_groq.usage in one stream are one usage', 13_500n],
  ['embeddings', 'Groq embeddings', 'unknown_model'],
];

describe.each([
  ['openai', OPENAI],
  ['anthropic', ANTHROPIC],
  ['google', GOOGLE],
  ['groq', GROQ],
] as const)('an answer of %s costs what its price list says', (_, rows) => {
  it.each(rows.map(([file, name, expected, date = NOW]) => [file, name, date, expected] as const))(
    '%s: %s, %s = %s',
    (file, name, date, expected) => {
      expect(costOfAnswer(file, name, date, null)).toBe(expected);
    },
  );
});

describe('embeddings of Gemini, which name no model, cost what the requested one does', () => {
  it.each([
    // 300 x 150
    ['Gemini embeddings', 'gemini-embedding-001', 45_000n],
    // 100 x 200 + 600 x 450 + 300 x 6500
    ['Gemini embeddings of text, image and audio', 'models/gemini-embedding-2', 2_240_000n],
  ])('%s by %s = %s', (name, model, expected) => {
    expect(costOfAnswer('embeddings', name, NOW, model)).toBe(expected);
  });
});
