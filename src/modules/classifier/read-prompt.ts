import type { WireFormat } from '../providers/wire-format.js';
import { isObject, type JsonObject } from './json-shapes.js';
import { PromptCollector, type PromptReading } from './prompt-collector.js';
import { readAnthropicMessages } from './read-anthropic-messages.js';
import { readGoogleContent, readGoogleEmbedding } from './read-google-content.js';
import { readOpenAiChat } from './read-openai-chat.js';
import { readOpenAiResponses } from './read-openai-responses.js';

/**
 * Reads what a body says of its call; null where it is not a JSON object, or not of a kind that is read. The work
 * is bounded whatever the body holds (see `PromptCollector`), and odd shapes read as absent.
 *
 * @param body parsed JSON, whole or clipped.
 */
export function readPrompt(format: WireFormat, body: unknown): PromptReading | null {
  if (!isObject(body)) return null;
  const into = collectorFor(format);
  if (into === null) return null;
  readInto(format, body, into);
  return into.reading();
}

function collectorFor(format: WireFormat): PromptCollector | null {
  switch (format) {
    case 'openai_chat':
    case 'openai_responses':
    case 'anthropic_messages':
      return new PromptCollector('generation', format);
    case 'google_generate_content':
      return new PromptCollector('generation', 'google');
    case 'anthropic_count_tokens':
      return new PromptCollector('count_tokens', 'anthropic_messages');
    case 'google_count_tokens':
      return new PromptCollector('count_tokens', 'google');
    case 'openai_embeddings':
    case 'google_embed_content':
      return new PromptCollector('embedding', 'none');
    case 'opaque':
      return null;
    default:
      return assertNever(format);
  }
}

function readInto(format: WireFormat, body: JsonObject, into: PromptCollector): void {
  switch (format) {
    case 'openai_chat':
      return readOpenAiChat(body, into);
    case 'openai_responses':
      return readOpenAiResponses(body, into);
    case 'anthropic_messages':
    case 'anthropic_count_tokens':
      return readAnthropicMessages(body, into);
    case 'google_generate_content':
    case 'google_count_tokens':
      return readGoogleContent(body, into);
    case 'openai_embeddings':
      return readOpenAiEmbedding(body, into);
    case 'google_embed_content':
      return readGoogleEmbedding(body, into);
    case 'opaque':
      return;
    default:
      assertNever(format);
  }
}

/** The input is one text, a list of texts, or token numbers. */
function readOpenAiEmbedding({ input }: JsonObject, into: PromptCollector): void {
  into.message('user');
  if (typeof input === 'string') into.text(input);
  for (const item of into.visit(input)) into.text(item);
}

function assertNever(value: never): never {
  throw new TypeError(`unexpected ${String(value)}`);
}
