import { endOfString, endOfValue, parseSpan, type Span } from './json-scan.js';

/**
 * A bounded view of a large JSON value: long strings keep their head, tail and length, long arrays their first and
 * last elements. Hashes and structural facts are computed from it, so that a 200 KB prompt costs little more
 * than a 2 KB one. The bytes must have passed `scanObject`.
 */

/** Bodies up to this size are parsed whole: the engine's own parser is faster than any walk in JavaScript. */
export const PARSED_WHOLE_BYTES_MAX = 8_192;
/** A longer string keeps half of this from either end. */
export const STRING_BYTES_MAX = 4_096;
/** A longer array keeps half of this from either end. */
export const ELEMENTS_MAX = 64;
/** Deeper levels are left out of the view. */
export const VIEW_DEPTH_MAX = 16;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

export function clippedView(bytes: Buffer, span: Span): unknown {
  if (span.end - span.start <= PARSED_WHOLE_BYTES_MAX) return parseSpan(bytes, span);
  return viewOf(bytes, span.start, span.end, 0);
}

function viewOf(bytes: Buffer, start: number, end: number, depth: number): unknown {
  const first = bytes[start];
  if (first === QUOTE) return stringView(bytes, start + 1, end - 1);
  if (first === 0x7b) return depth < VIEW_DEPTH_MAX ? objectView(bytes, start, end, depth) : {};
  if (first === 0x5b) return depth < VIEW_DEPTH_MAX ? arrayView(bytes, start, end, depth) : [];
  return parseSpan(bytes, { start, end });
}

function stringView(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length <= STRING_BYTES_MAX) return decode(bytes, start, end);
  const half = STRING_BYTES_MAX / 2;
  const head = decode(bytes, start, wholeUntil(bytes, start, start + half));
  const tail = decode(bytes, wholeFrom(bytes, end - half, start), end);
  return `${head}…[${length}]…${tail}`;
}

/** The text of a string's insides; as it stands where its escapes are broken. */
function decode(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}

const ESCAPE_BYTES_MAX = 6;

/** The last place up to `end` that cuts neither a character nor an escape. */
function wholeUntil(bytes: Buffer, start: number, end: number): number {
  const escape = openEscape(bytes, start, end);
  let at = escape ?? end;
  while (at > start && isContinuation(bytes[at]!)) at--;
  return at;
}

/** The first place from `start` on that cuts neither a character nor an escape. */
function wholeFrom(bytes: Buffer, start: number, floor: number): number {
  const escape = openEscape(bytes, floor, start);
  let at =
    escape === null ? start : escape + (bytes[escape + 1] === LETTER_U ? ESCAPE_BYTES_MAX : 2);
  while (isContinuation(bytes[at]!)) at++;
  return at;
}

/** Where the escape begins that a cut at `at` would fall into; null where it falls into none. */
function openEscape(bytes: Buffer, floor: number, at: number): number | null {
  for (let i = at - 1; i >= Math.max(floor, at - ESCAPE_BYTES_MAX + 1); i--) {
    if (bytes[i] !== BACKSLASH) continue;
    let first = i;
    while (first > floor && bytes[first - 1] === BACKSLASH) first--;
    if ((i - first) % 2 === 1) return null;
    return i + (bytes[i + 1] === LETTER_U ? ESCAPE_BYTES_MAX : 2) > at ? i : null;
  }
  return null;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

function objectView(bytes: Buffer, start: number, end: number, depth: number): unknown {
  const view: Record<string, unknown> = {};
  let members = 0;
  let at = nextToken(bytes, start + 1);
  while (at < end - 1 && members < ELEMENTS_MAX) {
    const keyEnd = endOfString(bytes, at + 1, end);
    const value = nextToken(bytes, keyEnd + 1);
    const valueEnd = endOfValue(bytes, value, end);
    if (keyEnd < 0 || valueEnd < 0) return view;
    Object.defineProperty(view, decode(bytes, at + 1, keyEnd), {
      value: viewOf(bytes, value, valueEnd, depth + 1),
      enumerable: true,
      configurable: true,
      writable: true,
    });
    members++;
    at = nextToken(bytes, valueEnd);
  }
  return view;
}

function arrayView(bytes: Buffer, start: number, end: number, depth: number): unknown[] {
  const spans: Span[] = [];
  let at = nextToken(bytes, start + 1);
  while (at < end - 1) {
    const valueEnd = endOfValue(bytes, at, end);
    if (valueEnd < 0) break;
    // The middle of a long array is skipped over, never built.
    if (spans.length === ELEMENTS_MAX) spans.splice(ELEMENTS_MAX / 2, 1);
    spans.push({ start: at, end: valueEnd });
    at = nextToken(bytes, valueEnd);
  }
  return spans.map((span) => viewOf(bytes, span.start, span.end, depth + 1));
}

/** The next byte that is neither white space nor a separator. */
function nextToken(bytes: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || (byte > 0x20 && byte !== 0x2c && byte !== 0x3a)) return at;
    at++;
  }
}
