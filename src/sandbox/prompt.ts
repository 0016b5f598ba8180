import { digestOf } from './fingerprint.js';
import { arrayOf, objectOf, textOf } from './json-value.js';
import { tokensOf } from './prefix-memory.js';

/** What one image, sound or document counts for. */
const MEDIA_TOKENS = 512;
/** What the frame around one message counts for. */
const MESSAGE_TOKENS = 4;

/** A stretch of a prompt, in the order in which a provider's cache sees it. */
export interface PromptSegment {
  /** Stands for the content when prefixes are compared; media are represented by their digest. */
  readonly text: string;
  readonly tokens: number;
}

export function segmentOf(role: string, content: unknown): PromptSegment {
  if (typeof content === 'string') {
    return { text: `${role}:${content}`, tokens: MESSAGE_TOKENS + tokensOf(content) };
  }
  const parts = Array.isArray(content) ? arrayOf(content) : [content];
  let text = `${role}:`;
  let tokens = MESSAGE_TOKENS;
  for (const part of parts) {
    const seen = partOf(part);
    text += seen.text;
    tokens += seen.tokens;
  }
  return { text, tokens };
}

/** A segment for anything structured, such as tool schemas, counted as its JSON. */
export function jsonSegment(role: string, value: unknown): PromptSegment {
  const text = JSON.stringify(value) ?? '';
  return { text: `${role}:${text}`, tokens: tokensOf(text) };
}

export function promptTokens(segments: readonly PromptSegment[]): number {
  return segments.reduce((sum, segment) => sum + segment.tokens, 0);
}

export function promptText(segments: readonly PromptSegment[]): string {
  return segments.map((segment) => segment.text).join('\n');
}

const MEDIA_MEMBERS = [
  'image_url',
  'input_audio',
  'file',
  'file_data',
  'source',
  'inlineData',
  'inline_data',
  'fileData',
  'file_uri',
];

function partOf(part: unknown): PromptSegment {
  if (typeof part === 'string') return { text: part, tokens: tokensOf(part) };
  const object = objectOf(part);
  if (object === null) return { text: '', tokens: 0 };
  const text = textOf(object['text']) ?? textOf(object['thinking']);
  if (text !== null) return { text, tokens: tokensOf(text) };
  const encoded = JSON.stringify(object);
  if (MEDIA_MEMBERS.some((member) => object[member] !== undefined)) {
    return { text: digestOf(encoded), tokens: MEDIA_TOKENS };
  }
  return { text: encoded, tokens: tokensOf(encoded) };
}

/** The plain words of a message's content, for the rules that look for a word in it. */
export function wordsOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return arrayOf(content)
    .map((part) => textOf(objectOf(part)?.['text']) ?? '')
    .join(' ');
}
