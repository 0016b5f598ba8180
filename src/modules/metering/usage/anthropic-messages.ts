import type { UsageReport } from '../usage-report.js';
import { ReportedCounts, lastOf, modelOf, objectOf } from './reported-counts.js';
import type { JsonObject } from './reported-counts.js';

/**
 * Messages: `input_tokens` is the uncached part alone, cache reads and writes stand beside it. In a stream
 * `message_start` has everything but the output; `message_delta` is cumulative and overwrites what it
 * states, but never repeats the cache lifetimes, tier, speed and region.
 */
export function readAnthropicMessages(events: readonly unknown[]): UsageReport | null {
  const start = firstMessage(events);
  const delta = lastOf(events, (event) =>
    event['type'] === 'message_delta' ? objectOf(event['usage']) : null,
  );
  const first = objectOf(start?.['usage']);
  if (first === null && delta === null) return null;
  const counts = new ReportedCounts();
  const usage = merge(first, delta);
  if (typeof usage['input_tokens'] !== 'number') counts.reject();
  if (isRepriced(counts, usage)) counts.reject();
  const model = modelOf(start?.['model']);
  const compaction = compactionUsage(counts, usage, model);
  const written = writtenTokens(counts, usage, objectOf(first)?.['cache_creation']);
  const output = counts.count(usage['output_tokens']);
  const thinking = counts.count(counts.details(usage['output_tokens_details'])['thinking_tokens']);
  counts.rest(output, thinking);
  const tools = counts.details(usage['server_tool_use']);
  return counts.report(
    {
      inputTokens: counts.count(usage['input_tokens']) + compaction.input,
      cacheReadTokens: counts.count(usage['cache_read_input_tokens']) + compaction.cacheRead,
      cacheWrite5mTokens: written.write5m + compaction.write5m,
      cacheWrite1hTokens: written.write1h + compaction.write1h,
      outputTokens: output + compaction.output,
      reasoningTokens: thinking,
      webSearchCalls: counts.count(tools['web_search_requests']),
      webFetchCalls: counts.count(tools['web_fetch_requests']),
    },
    {
      answeringModel: model,
      serviceTier: counts.word(usage['service_tier']),
      speed: counts.word(usage['speed']),
      region: counts.word(usage['inference_geo']),
    },
  );
}

/** The message itself: the whole body, or what `message_start` holds. */
function firstMessage(events: readonly unknown[]): JsonObject | null {
  for (const value of events) {
    const event = objectOf(value);
    if (event === null || event['type'] === 'message_delta') continue;
    const message = objectOf(event['message']) ?? event;
    if (objectOf(message['usage']) !== null) return message;
  }
  return null;
}

/** The delta overwrites what it states; a null in it states nothing. */
function merge(first: JsonObject | null, delta: JsonObject | null): JsonObject {
  const merged: Record<string, unknown> = { ...first };
  for (const [member, value] of Object.entries(delta ?? {})) {
    if (value !== null) merged[member] = value;
  }
  return merged;
}

/** A redeemed fallback credit moves cached tokens to another price than their own. */
function isRepriced(counts: ReportedCounts, usage: JsonObject): boolean {
  const credit = counts.details(usage['fallback_credit']);
  return objectOf(credit['status'])?.['type'] === 'redeemed';
}

interface Written {
  readonly write5m: number;
  readonly write1h: number;
}

/**
 * Splits the cumulative cache-write total by lifetime. The split is stated once, at the start; server tools
 * can write more later. What it does not cover has the one lifetime in use, or the default of five minutes
 * where none is stated. With both in use it cannot be known, and there is no report.
 */
function writtenTokens(counts: ReportedCounts, usage: JsonObject, startSplit: unknown): Written {
  const split = counts.details(usage['cache_creation'] ?? startSplit);
  const write5m = counts.count(split['ephemeral_5m_input_tokens']);
  const write1h = counts.count(split['ephemeral_1h_input_tokens']);
  const total = usage['cache_creation_input_tokens'];
  if (total === undefined || total === null) return { write5m, write1h };
  const later = counts.rest(counts.count(total), write5m, write1h);
  if (later === 0) return { write5m, write1h };
  if (write5m > 0 && write1h > 0) counts.reject();
  return write1h > 0
    ? { write5m, write1h: write1h + later }
    : { write5m: write5m + later, write1h };
}

interface CompactionUsage extends Written {
  readonly input: number;
  readonly cacheRead: number;
  readonly output: number;
}

const NOTHING: CompactionUsage = { input: 0, cacheRead: 0, output: 0, write5m: 0, write1h: 0 };

/**
 * Beta `iterations`: compaction is the one kind whose tokens the totals leave out. Work of another model
 * (an advisor, a declined fallback hop) has that model's price, which one report cannot carry.
 */
function compactionUsage(
  counts: ReportedCounts,
  usage: JsonObject,
  model: string | null,
): CompactionUsage {
  let sum = NOTHING;
  for (const value of counts.list(usage['iterations'])) {
    const iteration = counts.details(value);
    if (iteration['type'] === 'compaction') {
      sum = add(sum, iterationUsage(counts, iteration));
    } else if (isOfAnotherModel(iteration, model)) {
      const other = iterationUsage(counts, iteration);
      if (other.input + other.cacheRead + other.output + other.write5m + other.write1h > 0) {
        counts.reject();
      }
    }
  }
  return sum;
}

function isOfAnotherModel(iteration: JsonObject, model: string | null): boolean {
  const type = iteration['type'];
  if (type !== 'message' && type !== 'fallback_message') return true;
  const own = modelOf(iteration['model']);
  return own !== null && model !== null && undated(own) !== undated(model);
}

/** An alias and its dated snapshot are one model. */
function undated(model: string): string {
  return model.replace(/-\d{8}$/, '');
}

function iterationUsage(counts: ReportedCounts, iteration: JsonObject): CompactionUsage {
  return {
    input: counts.count(iteration['input_tokens']),
    cacheRead: counts.count(iteration['cache_read_input_tokens']),
    output: counts.count(iteration['output_tokens']),
    ...writtenTokens(counts, iteration, undefined),
  };
}

function add(a: CompactionUsage, b: CompactionUsage): CompactionUsage {
  return {
    input: a.input + b.input,
    cacheRead: a.cacheRead + b.cacheRead,
    output: a.output + b.output,
    write5m: a.write5m + b.write5m,
    write1h: a.write1h + b.write1h,
  };
}
