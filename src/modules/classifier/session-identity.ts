import { boundedText, joinParts } from '../../domain/classification/bounded-text.js';
import { objectOf, textOf } from './json-shapes.js';
import type { PromptReading } from './prompt-collector.js';
import { firstHeader, type RequestHeaders } from './request-headers.js';

const SESSION_HEADERS = [
  'x-shunt-session-id',
  'x-session-id',
  'x-claude-code-session-id',
  'x-session-affinity',
  'helicone-session-id',
] as const;

/** A longer name counts by its head and tail. */
const NAME_CHARS_MAX = 256;

/**
 * What names the session that a call belongs to, most telling first: a header, a field of the body, and else the
 * system prompt with the first user message, which a conversation repeats in every call. Null where there is
 * neither. To be hashed before it is kept.
 *
 * Of texts, head and tail count and the length does not: a long text may come clipped in a later, larger call of the
 * same conversation, and must still name the same session.
 */
export function sessionName(
  headers: RequestHeaders,
  body: unknown,
  reading: PromptReading | null,
): string | null {
  const stated = firstHeader(headers, SESSION_HEADERS) ?? statedInBody(body);
  if (stated !== null) {
    const { head, tail } = boundedText(stated, NAME_CHARS_MAX);
    return head + tail;
  }
  if (reading === null || reading.firstUserMessage.length === 0) return null;
  const { system, firstUserMessage } = reading;
  return joinParts([
    'opening',
    system.head,
    system.tail,
    firstUserMessage.head,
    firstUserMessage.tail,
  ]);
}

function statedInBody(body: unknown): string | null {
  const fields = objectOf(body);
  const stated =
    textOf(fields['session_id']) ||
    textOf(fields['prompt_cache_key']) ||
    textOf(objectOf(fields['metadata'])['user_id']) ||
    textOf(fields['user']);
  return stated === '' ? null : stated;
}
