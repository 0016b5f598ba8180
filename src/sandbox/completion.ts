import type { Directives } from './directives.js';
import { digestOf, sequenceFrom } from './fingerprint.js';
import { sampleOf } from './json-schema-sample.js';
import { tokensOf } from './prefix-memory.js';

const TOKENS_MIN = 24;
const TOKENS_RANGE = 40;

// Words of about four characters, so that the tokens counted are near what a real tokenizer would count.
const WORDS = (
  'this plan keeps each step small and easy to check so a team can move with care while the work stays ' +
  'calm and clear first note what must hold then pick the next part and test it before you go on ' +
  'good notes help the reader see why a choice was made and when it may change again over time'
).split(' ');

/** What a completion has to obey. */
export interface CompletionOrder {
  readonly digest: string;
  readonly directives: Directives;
  /** The caller's bound on all output, reasoning included; null where there is none. */
  readonly tokensMax: number | null;
  readonly reasoningTokens: number;
  /** The function to call, with the JSON schema of its arguments; null for text. */
  readonly tool: { readonly name: string; readonly schema: unknown } | null;
  /** Asked for JSON: with a schema, or any object. */
  readonly json: { readonly schema: unknown } | null;
  /** How many tokens one delta of a stream holds. */
  readonly tokensPerDelta: number;
}

/** What the model said, in no provider's format yet. */
export interface Completion {
  readonly kind: 'text' | 'tool';
  /** The visible text, or the arguments of the call as JSON. */
  readonly text: string;
  /** The same in the pieces in which a stream delivers it. */
  readonly deltas: readonly string[];
  readonly toolName: string;
  /** All output, reasoning included. */
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** The bound on output cut it short. */
  readonly truncated: boolean;
}

/** A deterministic completion: the same order gives the same words. It never contains the prompt. */
export function complete(order: CompletionOrder): Completion {
  const tokens = wholeText(order);
  const tokensLeft =
    order.tokensMax === null ? Infinity : Math.max(0, order.tokensMax - order.reasoningTokens);
  const reasoningTokens = Math.min(order.reasoningTokens, order.tokensMax ?? Infinity);
  const { kept, tokenCount } = cut(tokens, tokensLeft);
  return {
    kind: order.tool === null ? 'text' : 'tool',
    text: kept.join(''),
    deltas: inDeltas(kept, order),
    toolName: order.tool?.name ?? '',
    outputTokens: reasoningTokens + tokenCount,
    reasoningTokens,
    truncated: kept.length < tokens.length || reasoningTokens < order.reasoningTokens,
  };
}

function wholeText(order: CompletionOrder): string[] {
  if (order.tool !== null) return quarters(JSON.stringify(sampleOf(order.tool.schema)));
  if (order.json !== null) return quarters(JSON.stringify(sampleOf(order.json.schema)));
  const { echo, bigEventBytes, chunks, tokens } = order.directives;
  const pieces: string[] = [];
  // Whole, however long: tests look for it on disk and in logs, and must find it if it is there.
  if (echo !== undefined) pieces.push(`${echo} `);
  if (bigEventBytes !== undefined) pieces.push('x'.repeat(bigEventBytes));
  const next = sequenceFrom(order.digest);
  const count = Math.max(tokens ?? TOKENS_MIN + Math.floor(next() * TOKENS_RANGE), chunks ?? 0);
  let sentence = 0;
  while (pieces.length < count) {
    const word = WORDS[Math.floor(next() * WORDS.length)] ?? 'plan';
    const last = pieces.length === count - 1 || (sentence > 6 && next() < 0.15);
    const cased = sentence === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : word;
    pieces.push(`${pieces.length === 0 ? '' : ' '}${cased}${last ? '.' : ''}`);
    sentence = last ? 0 : sentence + 1;
  }
  return pieces;
}

function cut(pieces: readonly string[], tokensMax: number): { kept: string[]; tokenCount: number } {
  const kept: string[] = [];
  let tokenCount = 0;
  for (const piece of pieces) {
    // A word is one token, whatever its length; only what directives put in counts as more.
    const tokens = piece.length > 16 ? tokensOf(piece) : 1;
    if (tokenCount + tokens > tokensMax) break;
    kept.push(piece);
    tokenCount += tokens;
  }
  return { kept, tokenCount };
}

function inDeltas(pieces: readonly string[], order: CompletionOrder): string[] {
  const wanted = order.directives.chunks;
  if (wanted === undefined) {
    const deltas: string[] = [];
    for (let at = 0; at < pieces.length; at += order.tokensPerDelta) {
      deltas.push(pieces.slice(at, at + order.tokensPerDelta).join(''));
    }
    return deltas;
  }
  const count = Math.min(wanted, pieces.length);
  return Array.from({ length: count }, (_, index) =>
    pieces
      .slice(
        Math.floor((index * pieces.length) / count),
        Math.floor(((index + 1) * pieces.length) / count),
      )
      .join(''),
  );
}

function quarters(text: string): string[] {
  return text.match(/[\s\S]{1,4}/g) ?? [];
}

/** The digest of the `index`th of several answers to one request. */
export function digestOfChoice(digest: string, index: number): string {
  return index === 0 ? digest : digestOf(`${index}:${digest}`);
}

/** True where the caller's words ask for a tool: the sandbox's rule for calling one unasked. */
export function mentionsTool(words: string): boolean {
  return /\btools?\b/i.test(words);
}
