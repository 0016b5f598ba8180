import type { WireFormat } from '../../providers/wire-format.js';

/**
 * The top-level members of an answer, or of a stream's event, that a reader may need: the rest of a large
 * body need not be kept. `candidates` is among them because Gemini reports its billed search queries there.
 */
export const USAGE_MEMBERS: Readonly<Record<WireFormat, ReadonlySet<string>>> = {
  openai_chat: new Set(['usage', 'x_groq', 'model', 'service_tier']),
  openai_responses: new Set(['type', 'response', 'usage', 'tool_usage', 'model', 'service_tier']),
  openai_embeddings: new Set(['usage', 'model']),
  anthropic_messages: new Set(['type', 'message', 'usage', 'model']),
  anthropic_count_tokens: new Set(),
  google_generate_content: new Set(['usageMetadata', 'modelVersion', 'candidates']),
  google_count_tokens: new Set(),
  google_embed_content: new Set(['usageMetadata', 'modelVersion']),
  opaque: new Set(),
};

/**
 * Bytes that a line of a stream contains where it carries usage; a line without them need not be parsed.
 * Inside a JSON string the quotes would be escaped, so content cannot look like one.
 */
export const USAGE_MARKERS: Readonly<Record<WireFormat, string | null>> = {
  openai_chat: '"usage"',
  openai_responses: '"usage"',
  openai_embeddings: '"usage"',
  anthropic_messages: '"usage"',
  anthropic_count_tokens: null,
  google_generate_content: '"usageMetadata"',
  google_count_tokens: null,
  google_embed_content: '"usageMetadata"',
  opaque: null,
};

/**
 * The key of a list of billed search queries. Gemini may name them in a chunk in the middle of a stream, and its
 * counts of tokens say nothing of them: the last such event is needed besides those with usage.
 */
export const SEARCH_MARKERS: Readonly<Partial<Record<WireFormat, string>>> = {
  google_generate_content: '"webSearchQueries"',
};
