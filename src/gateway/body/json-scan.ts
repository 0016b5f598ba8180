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

/** Where long strings end, by the place of their first byte: a second walk hops over them at once. */
export type LongStrings = Map<number, number>;

/** A shorter string is walked again as fast as it is looked up. */
const LONG_STRING_BYTES = 256;

export function scanObject(
  bytes: Buffer,
  from = 0,
  to = bytes.length,
  longStrings: LongStrings | null = null,
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
    const end = endOfValue(bytes, at, to, longStrings);
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
  longStrings: LongStrings | null = null,
): number {
  if (at >= to) return BROKEN;
  const first = bytes[at]!;
  if (first === QUOTE) return endOfString(bytes, at + 1, to, longStrings) + 1 || BROKEN;
  if (first === OPEN_OBJECT || first === OPEN_ARRAY)
    return endOfContainer(bytes, at, to, longStrings);
  return endOfScalar(bytes, at, to);
}

/** Which closing byte each open level waits for. Scans never interleave, so that one stack serves them all. */
const closers = new Uint8Array(NESTING_MAX);

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
  longStrings: LongStrings | null,
): number {
  let depth = 0;
  let at = start;
  let expectsValue = true;
  let mayClose = false;
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
      if (depth === 0) return at;
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
    valuesPassed = (valuesPassed + 1) >>> 0;
    const opener = bytes[at];
    if (opener === OPEN_OBJECT || opener === OPEN_ARRAY) {
      if (depth === NESTING_MAX) return TOO_DEEP;
      closers[depth++] = opener === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
      mayClose = true;
      at++;
      continue;
    }
    at =
      opener === QUOTE
        ? endOfString(bytes, at + 1, to, longStrings) + 1
        : endOfScalar(bytes, at, to);
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
  longStrings: LongStrings | null = null,
): number {
  let at = from;
  const near = Math.min(to, at + WALKED_BYTES);
  while (at < near) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    at += byte === BACKSLASH ? 2 : 1;
  }
  const known = longStrings?.get(from);
  if (known !== undefined) return known;
  const end = endOfLongString(bytes, at, to);
  if (longStrings !== null && end - from > LONG_STRING_BYTES) longStrings.set(from, end);
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

const SCALAR = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
/** Longer numbers than this are nobody's. */
const SCALAR_BYTES_MAX = 400;

function endOfScalar(bytes: Buffer, start: number, to: number): number {
  const digits = endOfInteger(bytes, start, to);
  if (digits > 0) return digits;
  let at = start;
  const limit = Math.min(to, start + SCALAR_BYTES_MAX);
  while (at < limit && !endsScalar(bytes[at]!)) at++;
  return SCALAR.test(bytes.toString('latin1', start, at)) ? at : BROKEN;
}

/** Lists of token ids hold hundreds of thousands of plain integers; 0 for anything else, which the pattern reads. */
function endOfInteger(bytes: Buffer, start: number, to: number): number {
  const first = bytes[start]!;
  if (first < 0x31 || first > 0x39) return 0;
  let at = start + 1;
  while (at < to && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  return at < to && endsScalar(bytes[at]!) ? at : 0;
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
