import type { Provider } from '../../../domain/routing/provider.js';
import type { WireFormat } from '../../providers/wire-format.js';
import type { UsageReport } from '../usage-report.js';
import { readAnthropicMessages } from './anthropic-messages.js';
import { readGoogleEmbedContent, readGoogleGenerateContent } from './google-generate-content.js';
import { readOpenaiChat } from './openai-chat.js';
import { readOpenaiEmbeddings } from './openai-embeddings.js';
import { readOpenaiResponses } from './openai-responses.js';
import { objectOf } from './reported-counts.js';
import { USAGE_MARKERS } from './usage-members.js';

/** Where answers have their usage: at the top, or in one of these. */
const USAGE_HOLDERS = ['response', 'message', 'x_groq', 'error'] as const;

/** True where the answer says something of what it used, whether that can be read or not. */
export function statesUsage(format: WireFormat, answer: unknown): boolean {
  const key = USAGE_MARKERS[format]?.slice(1, -1);
  if (key === undefined) return false;
  if (Array.isArray(answer)) return answer.some((part) => statesUsage(format, part));
  const top = objectOf(answer);
  const holders = [top, ...USAGE_HOLDERS.map((holder) => objectOf(top?.[holder]))];
  return holders.some((holder) => (holder?.[key] ?? null) !== null);
}

/**
 * What an answer says it used. `events` are the parsed JSON objects that carry usage, in order of arrival:
 * the body (or its members in `USAGE_MEMBERS`), or a stream's first and last event with a usage marker,
 * and its last event with search queries.
 * Null where they state no usage, or state it in a way that cannot be read without guessing.
 */
export function readUsage(
  format: WireFormat,
  provider: Provider,
  events: readonly unknown[],
): UsageReport | null {
  switch (format) {
    case 'openai_chat':
      return readOpenaiChat(provider, events);
    case 'openai_responses':
      return readOpenaiResponses(events);
    case 'openai_embeddings':
      return readOpenaiEmbeddings(events);
    case 'anthropic_messages':
      return readAnthropicMessages(events);
    case 'google_generate_content':
      return readGoogleGenerateContent(events);
    case 'google_embed_content':
      return readGoogleEmbedContent(events);
    case 'anthropic_count_tokens':
    case 'google_count_tokens':
    case 'opaque':
      return null;
    default:
      return assertNever(format);
  }
}

function assertNever(format: never): never {
  throw new Error(`wire format ${String(format)}`);
}
