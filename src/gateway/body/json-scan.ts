/**
 * One pass over the bytes of a JSON object: checks its structure and notes where each top-level member lies,
 * without building a value. Strings are hopped over with a native search, so that a long prompt costs little.
 *
 * The bytes inside strings are not checked (escapes, control characters): what is forwarded stays the caller's.
 */

/** Byte offsets; `end` is exclusive. A string's span includes its quotes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Member {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: Span;
}

export type Scan =
  | { readonly ok: true; readonly members: readonly Member[]; readonly object: Span }
  | {
      readonly ok: false;
      readonly reason: 'not_an_object' | 'malformed' | 'too_deep' | 'too_many_members';
    };

export const NESTING_MAX = 512;
export const MEMBERS_MAX = 1_024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** So many bytes of a string are walked in place before each native search, which pays off only beyond them. */
const WALKED_BYTES = 96;

/**
 * Where long strings and containers end, by the place of a string's first byte and of a container's opening one: a
 * second walk hops over them at once.
 */
export type KnownEnds = Map<number, number>;

/** A shorter string is walked again as fast as it is looked up. */
const LONG_STRING_BYTES = 256;
/** The ends of shorter containers are not noted. */
export const LONG_CONTAINER_BYTES = 3_072;
/** Those of containers that lie deeper within a member are not noted either: so many levels are walked again. */
export const NOTED_DEPTH_MAX = 16;

export function scanObject(
  bytes: Buffer,
  from = 0,
  to = bytes.length,
  knownEnds: KnownEnds | null = null,
): Scan {
  const start = skipSpace(bytes, from, to);
  if (bytes[start] !== OPEN_OBJECT || start >= to) return { ok: false, reason: 'not_an_object' };
  const members: Member[] = [];
  let at = skipSpace(bytes, start + 1, to);
  if (at < to && bytes[at] === CLOSE_OBJECT) return close(bytes, members, start, at + 1, to);
  for (;;) {
    if (members.length === MEMBERS_MAX) return { ok: false, reason: 'too_many_members' };
    if (at >= to || bytes[at] !== QUOTE) return MALFORMED;
    const keyEnd = endOfString(bytes, at + 1, to);
    if (keyEnd < 0) return MALFORMED;
    const key = decodeKey(bytes, at + 1, keyEnd);
    if (key === null) return MALFORMED;
    const keySpan = { start: at, end: keyEnd + 1 };
    at = skipSpace(bytes, keyEnd + 1, to);
    if (bytes[at] !== COLON || at >= to) return MALFORMED;
    at = skipSpace(bytes, at + 1, to);
    const end = endOfValue(bytes, at, to, knownEnds);
    if (end < 0) return end === TOO_DEEP ? { ok: false, reason: 'too_deep' } : MALFORMED;
    members.push({ key, keySpan, value: { start: at, end } });
    at = skipSpace(bytes, end, to);
    if (at >= to) return MALFORMED;
    if (bytes[at] === CLOSE_OBJECT) return close(bytes, members, start, at + 1, to);
    if (bytes[at] !== COMMA) return MALFORMED;
    at = skipSpace(bytes, at + 1, to);
  }
}

const MALFORMED: Scan = { ok: false, reason: 'malformed' };
const BROKEN = -1;
const TOO_DEEP = -2;

function close(bytes: Buffer, members: Member[], start: number, end: number, to: number): Scan {
  if (skipSpace(bytes, end, to) !== to) return MALFORMED;
  return { ok: true, members, object: { start, end } };
}

/** The index after the value that starts at `at`; negative where there is none. */
export function endOfValue(
  bytes: Buffer,
  at: number,
  to: number,
  knownEnds: KnownEnds | null = null,
): number {
  if (at >= to) return BROKEN;
  const first = bytes[at]!;
  if (first === QUOTE) return endOfString(bytes, at + 1, to, knownEnds) + 1 || BROKEN;
  if (first === OPEN_OBJECT || first === OPEN_ARRAY)
    return knownEnds?.get(at) ?? endOfContainer(bytes, at, to, knownEnds);
  return endOfScalar(bytes, at, to);
}

/** Which closing byte each open level waits for. Scans never interleave, so that one stack serves them all. */
const closers = new Uint8Array(NESTING_MAX);
/** Where each open level began. */
const openers = new Uint32Array(NESTING_MAX);

/** Passed by all scans so far; wraps round. */
let valuesPassed = 0;

/** How many values containers held that were scanned since an earlier call gave `before`. */
export function valuesSince(before: number): number {
  return (valuesPassed - before) >>> 0;
}

function endOfContainer(
  bytes: Buffer,
  start: number,
  to: number,
  knownEnds: KnownEnds | null,
): number {
  let depth = 0;
  let at = start;
  let expectsValue = true;
  let mayClose = false;
  let values = 0;
  while (at < to) {
    const byte = bytes[at]!;
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      at++;
      continue;
    }
    if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (closers[depth - 1] !== byte || (expectsValue && !mayClose)) return BROKEN;
      at++;
      depth--;
      if (at - openers[depth]! > LONG_CONTAINER_BYTES && depth <= NOTED_DEPTH_MAX)
        knownEnds?.set(openers[depth]!, at);
      if (depth === 0) {
        valuesPassed = (valuesPassed + values) >>> 0;
        return at;
      }
      expectsValue = false;
      continue;
    }
    if (!expectsValue) {
      if (byte !== COMMA) return BROKEN;
      expectsValue = true;
      mayClose = false;
      at++;
      continue;
    }
    if (depth > 0 && closers[depth - 1] === CLOSE_OBJECT) {
      at = afterKey(bytes, at, to);
      if (at < 0) return BROKEN;
    }
    values++;
    const opener = bytes[at];
    if (opener === OPEN_OBJECT || opener === OPEN_ARRAY) {
      if (depth === NESTING_MAX) return TOO_DEEP;
      openers[depth] = at;
      closers[depth++] = opener === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
      mayClose = true;
      at++;
      continue;
    }
    at =
      opener === QUOTE ? endOfString(bytes, at + 1, to, knownEnds) + 1 : endOfScalar(bytes, at, to);
    if (at <= 0) return BROKEN;
    expectsValue = false;
  }
  return BROKEN;
}

/** From a key's opening quote to the first byte of its value. */
function afterKey(bytes: Buffer, at: number, to: number): number {
  if (bytes[at] !== QUOTE) return BROKEN;
  const end = endOfString(bytes, at + 1, to);
  if (end < 0) return BROKEN;
  const colon = skipSpace(bytes, end + 1, to);
  if (bytes[colon] !== COLON || colon >= to) return BROKEN;
  const value = skipSpace(bytes, colon + 1, to);
  return value < to ? value : BROKEN;
}

/** The index of the closing quote of the string whose first byte is at `at`; -1 where it never closes. */
export function endOfString(
  bytes: Buffer,
  from: number,
  to: number,
  knownEnds: KnownEnds | null = null,
): number {
  let at = from;
  const near = Math.min(to, at + WALKED_BYTES);
  while (at < near) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    at += byte === BACKSLASH ? 2 : 1;
  }
  const known = knownEnds?.get(from);
  if (known !== undefined) return known;
  const end = endOfLongString(bytes, at, to);
  if (knownEnds !== null && end - from > LONG_STRING_BYTES) knownEnds.set(from, end);
  return end;
}

function endOfLongString(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote < 0 || quote >= to) return BROKEN;
    if (!isEscaped(bytes, quote, at)) return quote;
    at = quote + 1;
    // Where quotes are dense, walking to the next one is cheaper than another search.
    const near = Math.min(to, at + WALKED_BYTES);
    while (at < near) {
      const byte = bytes[at]!;
      if (byte === QUOTE) return at;
      at += byte === BACKSLASH ? 2 : 1;
    }
  }
  return BROKEN;
}

/** An odd number of backslashes before a quote takes its meaning away; those before `floor` are spoken for. */
function isEscaped(bytes: Buffer, quote: number, floor: number): boolean {
  let at = quote;
  while (at > floor && bytes[at - 1] === BACKSLASH) at--;
  return (quote - at) % 2 === 1;
}

/** Longer numbers than this are nobody's. */
const NUMBER_BYTES_MAX = 400;
const LETTER_E = 0x65;
const PLUS = 0x2b;
const MINUS = 0x2d;
const POINT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

const WORDS: ReadonlyMap<number, Buffer> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);

/** Lists hold millions of numbers and words: they are walked byte by byte, which no pattern is as fast as. */
function endOfScalar(bytes: Buffer, start: number, to: number): number {
  const limit = Math.min(to, start + NUMBER_BYTES_MAX);
  const end = endOfInteger(bytes, start, limit) || endOfOther(bytes, start, to, limit);
  return end > 0 && (end === to || endsScalar(bytes[end]!)) ? end : BROKEN;
}

/** Most are plain integers; 0 for anything else. */
function endOfInteger(bytes: Buffer, start: number, to: number): number {
  const first = bytes[start]!;
  if (first <= DIGIT_0 || first > DIGIT_9) return 0;
  let at = start + 1;
  while (at < to && isDigit(bytes[at]!)) at++;
  return at < to && endsScalar(bytes[at]!) ? at : 0;
}

function endOfOther(bytes: Buffer, start: number, to: number, limit: number): number {
  const first = bytes[start]!;
  const isNumber = first === MINUS || isDigit(first);
  return isNumber ? endOfNumber(bytes, start, limit) : endOfWord(bytes, start, to);
}

function endOfWord(bytes: Buffer, start: number, to: number): number {
  const word = WORDS.get(bytes[start]!);
  if (word === undefined || start + word.length > to) return BROKEN;
  for (let i = 1; i < word.length; i++) if (bytes[start + i] !== word[i]) return BROKEN;
  return start + word.length;
}

function endOfNumber(bytes: Buffer, start: number, to: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  at = bytes[at] === DIGIT_0 && at < to ? at + 1 : endOfDigits(bytes, at, to);
  if (at > 0 && at < to && bytes[at] === POINT) at = endOfDigits(bytes, at + 1, to);
  if (at > 0 && at < to && (bytes[at]! | 0x20) === LETTER_E) {
    const sign = bytes[at + 1];
    at = endOfDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1, to);
  }
  return at;
}

/** One digit or more. */
function endOfDigits(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && isDigit(bytes[at]!)) at++;
  return at > from ? at : BROKEN;
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_0 && byte <= DIGIT_9;
}

function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || byte <= 0x20;
}

function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = bytes[at]!;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
  return to;
}

/** Keys may be spelt with escapes (`"mod\\u0065l"`); two spellings of one key are one key. */
function decodeKey(bytes: Buffer, start: number, end: number): string | null {
  const raw = bytes.toString('utf8', start, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return null;
  }
}

/** The value of a span, parsed; undefined where the span's insides are not JSON after all. */
export function parseSpan(bytes: Buffer, span: Span): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', span.start, span.end)) as unknown;
  } catch {
    return undefined;
  }
}
