import type { UsageReport } from '../usage-report.js';
import { ReportedCounts, lastOf, modelOf, objectOf } from './reported-counts.js';
import type { JsonObject } from './reported-counts.js';

/**
 * The Responses API: `usage` of the whole body, or of `response` in the event that ends a stream
 * (completed, incomplete or failed). Cached and cache-write tokens are inside `input_tokens`, reasoning
 * inside `output_tokens`; hosted tools report beside it, in `tool_usage`.
 */
export function readOpenaiResponses(events: readonly unknown[]): UsageReport | null {
  const response = lastOf(events, responseOf);
  if (response === null) return null;
  const usage = objectOf(response['usage']);
  if (usage === null) return null;
  const counts = new ReportedCounts();
  if (!('input_tokens' in usage)) counts.reject();
  const output = counts.count(usage['output_tokens']);
  const reasoning = counts.count(
    counts.details(usage['output_tokens_details'])['reasoning_tokens'],
  );
  counts.rest(output, reasoning);
  return counts.report(
    {
      ...inputUsage(counts, usage),
      outputTokens: output,
      reasoningTokens: reasoning,
      ...toolUsage(counts, response),
    },
    {
      answeringModel: modelOf(response['model']),
      serviceTier: counts.word(response['service_tier']),
    },
  );
}

function responseOf(event: JsonObject): JsonObject | null {
  const response = objectOf(event['response']) ?? event;
  return objectOf(response['usage']) === null ? null : response;
}

function inputUsage(counts: ReportedCounts, usage: JsonObject) {
  const details = counts.details(usage['input_tokens_details']);
  const cached = counts.count(details['cached_tokens']);
  const written = counts.count(details['cache_write_tokens']);
  const lifetimes = counts.details(details['cache_write_tokens_details']);
  const written12h = counts.count(lifetimes['ttl_12h_tokens']);
  const written30m = counts.count(lifetimes['ttl_30m_tokens']);
  // Thirty minutes is the default: what no lifetime claims was written for that long.
  const unclaimed = counts.rest(written, written12h, written30m);
  return {
    inputTokens: counts.rest(counts.count(usage['input_tokens']), cached, written),
    cacheReadTokens: cached,
    cacheWrite30mTokens: written30m + unclaimed,
    cacheWrite12hTokens: written12h,
  };
}

/**
 * Images are made by another model, at its prices. Their tokens are counted as image tokens, for which a
 * text model has no price: such a call is unpriceable rather than too cheap.
 */
function toolUsage(counts: ReportedCounts, response: JsonObject) {
  const tools = counts.details(response['tool_usage']);
  const images = counts.details(tools['image_gen']);
  const imageOutput = counts.count(images['output_tokens']);
  return {
    webSearchCalls: counts.count(counts.details(tools['web_search'])['num_requests']),
    imageInputTokens: counts.count(images['input_tokens']),
    imageOutputTokens: imageOutput,
  };
}
