import type { UsageReport } from '../usage-report.js';
import { ReportedCounts, lastOf, modelOf, objectOf } from './reported-counts.js';
import type { JsonObject } from './reported-counts.js';

interface Modalities {
  readonly audio: number;
  readonly image: number;
  readonly other: number;
}

/**
 * generateContent and its stream, whose `usageMetadata` is cumulative. Cached tokens are inside
 * `promptTokenCount`; thoughts are outside `candidatesTokenCount` and tool results outside the prompt, and
 * both are billed.
 */
export function readGoogleGenerateContent(events: readonly unknown[]): UsageReport | null {
  const metadata = lastOf(events, (event) => objectOf(event['usageMetadata']));
  if (metadata === null) return null;
  const counts = new ReportedCounts();
  const thoughts = counts.count(metadata['thoughtsTokenCount']);
  const candidates = counts.count(metadata['candidatesTokenCount']);
  const out = modalities(counts, metadata['candidatesTokensDetails']);
  return counts.report(
    {
      ...inputUsage(counts, metadata),
      outputTokens: counts.rest(candidates, out.audio, out.image) + thoughts,
      audioOutputTokens: out.audio,
      imageOutputTokens: out.image,
      reasoningTokens: thoughts,
      webSearchCalls: lastOf(events, searchQueries) ?? 0,
    },
    {
      answeringModel: lastOf(events, (event) => modelOf(event['modelVersion'])),
      serviceTier: counts.word(metadata['serviceTier']) ?? counts.word(metadata['trafficType']),
    },
  );
}

/** Embeddings: the prompt alone. Video has a price of its own and no field here: such a call is unreadable. */
export function readGoogleEmbedContent(events: readonly unknown[]): UsageReport | null {
  const metadata = lastOf(events, (event) => objectOf(event['usageMetadata']));
  if (metadata === null) return null;
  const counts = new ReportedCounts();
  if (!('promptTokenCount' in metadata)) counts.reject();
  const parts = modalities(counts, metadata['promptTokensDetails']);
  if (parts.other > 0) counts.reject();
  return counts.report(
    {
      inputTokens: counts.rest(
        counts.count(metadata['promptTokenCount']),
        parts.audio,
        parts.image,
      ),
      audioInputTokens: parts.audio,
      imageInputTokens: parts.image,
    },
    { answeringModel: lastOf(events, (event) => modelOf(event['modelVersion'])) },
  );
}

function inputUsage(counts: ReportedCounts, metadata: JsonObject) {
  const prompt = counts.count(metadata['promptTokenCount']);
  const cached = counts.count(metadata['cachedContentTokenCount']);
  const all = modalities(counts, metadata['promptTokensDetails']);
  const tools = modalities(counts, metadata['toolUsePromptTokensDetails']);
  const toolPrompt = counts.count(metadata['toolUsePromptTokenCount']);
  const text = counts.rest(prompt, all.audio, all.image);
  const fromCache = cachedModalities(counts, metadata['cacheTokensDetails'], cached, text, all);
  return {
    inputTokens:
      counts.rest(prompt, cached, all.audio - fromCache.audio, all.image - fromCache.image) +
      counts.rest(toolPrompt, tools.audio, tools.image),
    cacheReadTokens: counts.rest(cached, fromCache.audio),
    cacheReadAudioTokens: fromCache.audio,
    audioInputTokens: counts.rest(all.audio, fromCache.audio) + tools.audio,
    imageInputTokens: counts.rest(all.image, fromCache.image) + tools.image,
  };
}

/** Where the cache's own breakdown is missing, text comes first: a cached prefix starts with it. */
function cachedModalities(
  counts: ReportedCounts,
  stated: unknown,
  cached: number,
  text: number,
  all: Modalities,
): Modalities {
  if (Array.isArray(stated) && stated.length > 0) return modalities(counts, stated);
  const image = Math.min(Math.max(cached - text, 0), all.image);
  const audio = Math.min(Math.max(cached - text - image, 0), all.audio);
  return { audio, image, other: 0 };
}

/** `[{modality, tokenCount}]`; text, and what has no modality, is the rest of the total. */
function modalities(counts: ReportedCounts, value: unknown): Modalities {
  let audio = 0;
  let image = 0;
  let other = 0;
  for (const item of counts.list(value)) {
    const part = counts.details(item);
    const tokens = counts.count(part['tokenCount']);
    const modality = part['modality'];
    if (modality === 'AUDIO') audio += tokens;
    else if (modality === 'IMAGE') image += tokens;
    else if (modality === 'VIDEO' || modality === 'DOCUMENT') other += tokens;
  }
  return { audio, image, other };
}

/** Grounding is billed per search query, and only the candidates name them; empty ones are not run. */
function searchQueries(event: JsonObject): number | null {
  const candidates = event['candidates'];
  if (!Array.isArray(candidates)) return null;
  let queries = 0;
  for (const candidate of candidates) {
    const grounding = objectOf(objectOf(candidate)?.['groundingMetadata']);
    const named = grounding?.['webSearchQueries'];
    if (Array.isArray(named)) {
      queries += named.filter((query) => typeof query === 'string' && query !== '').length;
    }
  }
  return queries === 0 ? null : queries;
}
