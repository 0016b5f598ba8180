import type { BoundedText } from './bounded-text.js';

const HEAD_CHARS_MAX = 160;
const CUE_CHARS_MAX = 64;
/** An unbroken run this long is data: an address, an id, a path. */
const LONG_WORD_CHARS = 24;

/** Where an instruction ends and what it is applied to begins. */
const INSTRUCTION_END = /[:\n"“«`<[{|]/;

/** The template of messages that show no instruction apart from what they say. */
export const FREE_TEXT = '~';

/**
 * What stays the same when an application fills its template again, found by form alone: the instruction at the
 * head, up to its first colon, line end, quotation, bracket or tag, and a closing cue such as `Answer:`.
 * Digits become `0`, quotations and long words are folded, spaces collapse, case is dropped. A message
 * without such a head is `~`, so that conversation does not make a class of every message.
 * Reads at most 160 characters of the head and 64 of the tail.
 */
export function messageTemplate(text: BoundedText): string {
  const head = text.head.slice(0, HEAD_CHARS_MAX).trimStart();
  const end = head.search(INSTRUCTION_END);
  // A quotation right at the beginning leaves no instruction; neither does a text without any such end.
  const instruction = end > 0 ? fold(head.slice(0, end)) + shapeOf(head.charAt(end)) : FREE_TEXT;
  const cue = closingCue(text.tail === '' ? text.head : text.tail);
  return cue === '' ? instruction : `${instruction}…${cue}`;
}

/** Digits, quotations, long words, spaces and case do not count. */
export function fold(text: string): string {
  return text
    .replace(/"[^"]*"|“[^”]*”|«[^»]*»|`[^`]*`/g, '"')
    .replace(/\S+/g, (word) => (word.length >= LONG_WORD_CHARS ? '_' : word))
    .replace(/\p{Nd}+/gu, '0')
    .replace(/\s+/g, ' ')
    .trim()
    .toLowerCase();
}

function shapeOf(end: string): string {
  if (end === ':') return ':';
  if (end === '\n') return '⏎';
  return '"';
}

/** The last line, where it is short, ends with a colon and is not the only one. */
function closingCue(text: string): string {
  const tail = text.slice(-CUE_CHARS_MAX).trimEnd();
  const lineStart = tail.lastIndexOf('\n');
  if (lineStart < 0 || !tail.endsWith(':')) return '';
  return fold(tail.slice(lineStart + 1));
}
