import { NO_USAGE, type Usage } from '../pricing/usage.js';

/** Names the method below; it stands in every entry, and a change of the method is a new name. */
export const BASELINE_METHOD = 'baseline-2';

/** How many tokens the baseline's tokenizer makes of what the served one made one of; 1 within a family. */
export interface TokenizerRatio {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

export const SAME_TOKENIZER: TokenizerRatio = Object.freeze({ numerator: 1n, denominator: 1n });

/** What the baseline's cache would have held of this prompt, had the session stayed there: by the baseline's count. */
export interface BaselineCache {
  /** Prompt tokens that it would have found. */
  readonly readTokens: number;
  /** Prompt tokens that it would have been charged for writing, by time to live; the rest is plain input. */
  readonly writeTokens: number;
  readonly writeTtl: '5m' | '30m' | '1h' | '12h' | 'free';
}

const WRITE_FIELD = {
  '5m': 'cacheWrite5mTokens',
  '30m': 'cacheWrite30mTokens',
  '1h': 'cacheWrite1hTokens',
  '12h': 'cacheWrite12hTokens',
  // Where writing costs nothing it is plain input.
  free: 'inputTokens',
} as const satisfies Record<BaselineCache['writeTtl'], keyof Usage>;

/** The text of a prompt, cached or not; audio and images are counted apart. */
export function textPromptTokens(usage: Usage): number {
  return (
    usage.inputTokens +
    usage.cacheReadTokens +
    usage.cacheWrite5mTokens +
    usage.cacheWrite30mTokens +
    usage.cacheWrite1hTokens +
    usage.cacheWrite12hTokens
  );
}

/**
 * The usage that the baseline model would have reported: the prompt's tokens times the tokenizer's ratio, split as
 * its cache would have stood, output as it was served (nobody knows how long the other model's answer would have
 * been). Audio, images and tools are taken as served. The prompt is rounded half up to whole tokens, once; the split
 * is of whole tokens and adds up to it.
 */
export function baselineUsage(served: Usage, ratio: TokenizerRatio, cache: BaselineCache): Usage {
  const prompt = scaledTokens(textPromptTokens(served), ratio);
  const cacheReadTokens = Math.min(cache.readTokens, prompt);
  const write = Math.min(cache.writeTokens, prompt - cacheReadTokens);
  const usage: Record<keyof Usage, number> = {
    ...NO_USAGE,
    inputTokens: prompt - cacheReadTokens - write,
    cacheReadTokens,
    cacheReadAudioTokens: served.cacheReadAudioTokens,
    audioInputTokens: served.audioInputTokens,
    imageInputTokens: served.imageInputTokens,
    outputTokens: served.outputTokens,
    audioOutputTokens: served.audioOutputTokens,
    imageOutputTokens: served.imageOutputTokens,
    reasoningTokens: served.reasoningTokens,
    webSearchCalls: served.webSearchCalls,
    webFetchCalls: served.webFetchCalls,
  };
  usage[WRITE_FIELD[cache.writeTtl]] += write;
  return usage;
}

/** The answer of a model that does not reason unasked: no longer by what another one thought before it. */
export function withoutReasoning(served: Usage): Usage {
  const outputTokens = Math.max(served.outputTokens - served.reasoningTokens, 0);
  return { ...served, outputTokens, reasoningTokens: 0 };
}

/** Half up to whole tokens. */
export function scaledTokens(tokens: number, { numerator, denominator }: TokenizerRatio): number {
  if (numerator === denominator) return tokens;
  return Number((BigInt(tokens) * numerator * 2n + denominator) / (denominator * 2n));
}
