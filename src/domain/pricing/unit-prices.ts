import type { Usage } from './usage.js';

/** What a token can be charged as. Reasoning is missing on purpose: it is a part of the output. */
export const TOKEN_DIMENSIONS = [
  'inputTokens',
  'cacheReadTokens',
  'cacheReadAudioTokens',
  'cacheWrite5mTokens',
  'cacheWrite30mTokens',
  'cacheWrite1hTokens',
  'cacheWrite12hTokens',
  'audioInputTokens',
  'imageInputTokens',
  'outputTokens',
  'audioOutputTokens',
  'imageOutputTokens',
] as const satisfies readonly (keyof Usage)[];

/** Fees of server tools, per call: tier, speed and region multiply token prices only. */
export const TOOL_DIMENSIONS = [
  'webSearchCalls',
  'webFetchCalls',
] as const satisfies readonly (keyof Usage)[];

export type PriceDimension = (typeof TOKEN_DIMENSIONS)[number] | (typeof TOOL_DIMENSIONS)[number];

export const PRICE_DIMENSIONS: readonly PriceDimension[] = [
  ...TOKEN_DIMENSIONS,
  ...TOOL_DIMENSIONS,
];

/** Unit prices are per this many tokens, and per this many calls of a tool. */
export const UNITS_PER_PRICE = 1_000_000n;

/** Nano-USD per million units; a dimension that is missing has no known price. */
export type UnitPrices = Readonly<Partial<Record<PriceDimension, bigint>>>;

/** The size of the prompt, which decides the price tier: all input, cached or not. */
export function promptTokens(usage: Usage): number {
  return (
    usage.inputTokens +
    usage.cacheReadTokens +
    usage.cacheReadAudioTokens +
    usage.cacheWrite5mTokens +
    usage.cacheWrite30mTokens +
    usage.cacheWrite1hTokens +
    usage.cacheWrite12hTokens +
    usage.audioInputTokens +
    usage.imageInputTokens
  );
}
