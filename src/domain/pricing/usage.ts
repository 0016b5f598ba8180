/**
 * What one call used, each token counted in exactly one field (but `reasoningTokens`, which is a part of
 * `outputTokens` and is kept for information). All counts are non-negative safe integers.
 */
export interface Usage {
  /** Uncached text input; also image and audio input where the provider does not report it apart. */
  readonly inputTokens: number;
  /** Read from a cache; audio only where it has no field of its own. */
  readonly cacheReadTokens: number;
  /** Cached audio input, which some models price apart from cached text. */
  readonly cacheReadAudioTokens: number;
  readonly cacheWrite5mTokens: number;
  readonly cacheWrite30mTokens: number;
  readonly cacheWrite1hTokens: number;
  readonly cacheWrite12hTokens: number;
  readonly audioInputTokens: number;
  readonly imageInputTokens: number;
  /** Text output, reasoning included. */
  readonly outputTokens: number;
  readonly audioOutputTokens: number;
  readonly imageOutputTokens: number;
  readonly reasoningTokens: number;
  readonly webSearchCalls: number;
  readonly webFetchCalls: number;
}

export const NO_USAGE: Usage = Object.freeze({
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheReadAudioTokens: 0,
  cacheWrite5mTokens: 0,
  cacheWrite30mTokens: 0,
  cacheWrite1hTokens: 0,
  cacheWrite12hTokens: 0,
  audioInputTokens: 0,
  imageInputTokens: 0,
  outputTokens: 0,
  audioOutputTokens: 0,
  imageOutputTokens: 0,
  reasoningTokens: 0,
  webSearchCalls: 0,
  webFetchCalls: 0,
});
