import type { Provider } from '../../../domain/routing/provider.js';
import type { UsageReport } from '../usage-report.js';
import { ReportedCounts, lastOf, modelOf, objectOf } from './reported-counts.js';
import type { JsonObject } from './reported-counts.js';

/**
 * Chat completions of OpenAI, Groq and Gemini's OpenAI-compatible endpoint. Cached, cache-write, audio and
 * image tokens are inside `prompt_tokens`; reasoning and audio inside `completion_tokens`. In a stream only
 * the usage chunk has them; where Groq repeats it under `x_groq`, it is the same usage.
 */
export function readOpenaiChat(provider: Provider, events: readonly unknown[]): UsageReport | null {
  const usage = lastOf(events, usageOf);
  if (usage === null) return null;
  const counts = new ReportedCounts();
  const prompt = promptUsage(counts, usage);
  const completion = completionUsage(counts, usage, provider);
  return counts.report(
    { ...prompt, ...completion },
    {
      answeringModel: lastOf(events, (event) => modelOf(event['model'])),
      serviceTier: lastOf(events, (event) => counts.word(event['service_tier'])),
    },
  );
}

function usageOf(event: JsonObject): JsonObject | null {
  const usage = objectOf(event['usage']);
  if (usage !== null) return usage;
  // Non-streamed answers of Groq have cache-hardware statistics there, which are no token usage.
  const groq = objectOf(objectOf(event['x_groq'])?.['usage']);
  return groq !== null && 'prompt_tokens' in groq ? groq : null;
}

function promptUsage(counts: ReportedCounts, usage: JsonObject) {
  if (!('prompt_tokens' in usage)) counts.reject();
  const details = counts.details(usage['prompt_tokens_details']);
  const prompt = counts.count(usage['prompt_tokens']);
  const cached = counts.count(details['cached_tokens']);
  const written = counts.count(details['cache_write_tokens']);
  const audio = counts.count(details['audio_tokens']);
  const image = counts.count(details['image_tokens']);
  counts.rest(prompt, audio, image);
  const uncached = counts.rest(prompt, cached, written);
  // Modalities and cache are two views of one prompt: what does not fit in the uncached part was cached.
  const uncachedAudio = Math.min(audio, uncached);
  const cachedAudio = Math.min(audio - uncachedAudio, cached);
  const uncachedImage = Math.min(image, uncached - uncachedAudio);
  return {
    inputTokens: uncached - uncachedAudio - uncachedImage,
    cacheReadTokens: cached - cachedAudio,
    cacheReadAudioTokens: cachedAudio,
    cacheWrite30mTokens: written,
    audioInputTokens: uncachedAudio,
    imageInputTokens: uncachedImage,
  };
}

function completionUsage(counts: ReportedCounts, usage: JsonObject, provider: Provider) {
  const details = counts.details(usage['completion_tokens_details']);
  const completion = counts.count(usage['completion_tokens']);
  const audio = counts.count(details['audio_tokens']);
  const reasoning = counts.count(details['reasoning_tokens']);
  if (provider === 'google') {
    // Gemini leaves its thoughts out of `completion_tokens`; only the total has them.
    const total = counts.count(usage['total_tokens']);
    const prompt = counts.count(usage['prompt_tokens']);
    const output = Math.max(completion, total - prompt);
    const thoughts = Math.max(output - completion, reasoning);
    counts.rest(output, thoughts);
    return { outputTokens: output, reasoningTokens: thoughts };
  }
  const output = counts.rest(completion, audio);
  counts.rest(completion, reasoning);
  return { outputTokens: output, audioOutputTokens: audio, reasoningTokens: reasoning };
}
