import {
  endOfString,
  endOfValue,
  LONG_CONTAINER_BYTES,
  NOTED_DEPTH_MAX,
  parseSpan,
  valuesSince,
  type KnownEnds,
  type Member,
  type Span,
} from './json-scan.js';
import { LEFT_OUT } from '../../modules/classifier/json-shapes.js';

/**
 * A bounded view of a large JSON value: long strings keep their head, tail and length. Its structure is kept whole up
 * to `NODES_MAX` values; of what is more, arrays keep their first and last elements. Hashes and structural facts are
 * computed from it, so that a long prompt costs little more than a short one. The bytes must have passed `scanObject`,
 * which noted where long strings and containers end: what is known is hopped over, and of the rest no more is walked
 * than `WALKED_BYTES_MAX`. Wherever something is left out `LEFT_OUT` stands, as an element or a name.
 */

/** Bodies up to this size are parsed whole: the engine's own parser is faster than any walk in JavaScript. */
export const PARSED_WHOLE_BYTES_MAX = 8_192;
/** A longer string keeps half of this from either end: 256 characters, however they are escaped. */
export const STRING_BYTES_MAX = 3_072;
/** Elements and members in one view: a conversation of a few thousand messages. */
export const NODES_MAX = 65_536;
/** Of an array that has more elements than may still be viewed, so many are kept from either end. */
export const END_ELEMENTS = 32;
/** An object keeps so many members. */
export const MEMBERS_VIEWED_MAX = 64;
/** Long strings keep their text in so many elements at either end of an array; between them only their length. */
const ELEMENTS_WITH_TEXT = 4;
/** Deeper levels are left out of the view; the ends of what is viewed are known. */
export const VIEW_DEPTH_MAX = NOTED_DEPTH_MAX;

/** A value that is parsed at once counts for all that it holds, and for its length. */
const BYTES_PER_NODE = 64;

/** In one view: all that `NODES_MAX` lets it show takes less than half of it, unless it is mostly white space. */
export const WALKED_BYTES_MAX = 4 * NODES_MAX * BYTES_PER_NODE;
/** Finding a value costs so much whatever its length. */
const BYTES_PER_STEP = 8;
/** A longer string is hopped over. */
const STRING_BYTES_WALKED = 96;

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/** A scanned object: its bytes, where it and its members lie, where what is long ends. */
export interface Scanned {
  readonly object: Span;
  readonly members: readonly Member[];
  readonly knownEnds: KnownEnds;
}

export function clippedView(bytes: Buffer, { object, members, knownEnds }: Scanned): unknown {
  if (object.end - object.start <= PARSED_WHOLE_BYTES_MAX) {
    const parsed = parseSpan(bytes, object) as Record<string, unknown> | undefined;
    if (parsed !== undefined) markGap(parsed, members);
    return parsed;
  }
  const left = { nodes: NODES_MAX, bytes: WALKED_BYTES_MAX };
  const place = { bytes, knownEnds, withText: true, depth: 0, left };
  const view: Record<string, unknown> = {};
  // The last ones, as parsers take the last of a name.
  for (const { key, value } of members.slice(-MEMBERS_VIEWED_MAX)) {
    const values = value.end - value.start;
    setOwn(view, key, viewOf(place, { ...value, values }));
  }
  markGap(view, members);
  return view;
}

/** Of two members of one name the earlier is left out, though a provider's parser may take that one. */
function markGap(view: Record<string, unknown>, members: readonly Member[]): void {
  if (Object.keys(view).length < members.length) view[LEFT_OUT] = true;
}

interface Counted extends Span {
  /** Itself and those within it, or more. */
  readonly values: number;
}

interface Place {
  readonly bytes: Buffer;
  readonly knownEnds: KnownEnds;
  readonly withText: boolean;
  readonly depth: number;
  /** How many more values may be viewed, and bytes walked: one count for the whole view. */
  readonly left: { nodes: number; bytes: number };
}

function viewOf(place: Place, span: Counted): unknown {
  const { bytes, depth } = place;
  const first = bytes[span.start];
  if (first === QUOTE) return stringView(place, span.start + 1, span.end - 1);
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) return parseSpan(bytes, span);
  const parsed = parsedWhole(place, span);
  if (parsed !== undefined) return parsed;
  if (first === OPEN_OBJECT) return depth < VIEW_DEPTH_MAX ? objectView(place, span) : {};
  return depth < VIEW_DEPTH_MAX ? arrayView(place, span) : [];
}

/** What has no room for a long string needs no walk; undefined where there is more, or its strings are broken. */
function parsedWhole({ bytes, left }: Place, span: Counted): unknown {
  const length = span.end - span.start;
  const cost = Math.max(span.values, Math.ceil(length / BYTES_PER_NODE));
  if (length > LONG_CONTAINER_BYTES || cost > left.nodes) return undefined;
  // Also where it fails: each level of what is broken would be tried again.
  left.nodes -= cost;
  return parseSpan(bytes, span);
}

function stringView({ bytes, withText }: Place, start: number, end: number): string {
  const length = end - start;
  if (length <= STRING_BYTES_MAX) return decode(bytes, start, end);
  if (!withText) return `…[${length}]…`;
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

function objectView(place: Place, { start, end }: Span): unknown {
  const { bytes, left } = place;
  const inside = { ...place, depth: place.depth + 1 };
  const view: Record<string, unknown> = {};
  let members = 0;
  let at = nextToken(bytes, start + 1);
  while (at < end - 1) {
    if (members === MEMBERS_VIEWED_MAX || left.nodes <= 0 || left.bytes <= 0) {
      view[LEFT_OUT] = true;
      return view;
    }
    const keyEnd = endOfString(bytes, at + 1, end);
    if (keyEnd < 0) return view;
    const value = valueAt(place, nextToken(bytes, keyEnd + 1), end);
    if (value === null) return view;
    members++;
    left.nodes--;
    left.bytes -= value.start - at;
    setOwn(view, decode(bytes, at + 1, keyEnd), viewOf(inside, value));
    at = afterValue(place, value);
  }
  return view;
}

/** As `JSON.parse` does: `__proto__` is a name like any other. */
function setOwn(view: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') view[key] = value;
  else
    Object.defineProperty(view, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
}

function arrayView(place: Place, span: Span): unknown[] {
  const { spans, gapAt } = elementsOf(place, span);
  place.left.nodes -= spans.length;
  const inside = { ...place, depth: place.depth + 1 };
  const lengthOnly = { ...inside, withText: false };
  const isNearEnd = (index: number): boolean =>
    index < ELEMENTS_WITH_TEXT || index >= spans.length - ELEMENTS_WITH_TEXT;
  const view = spans.map((element, index) =>
    viewOf(isNearEnd(index) ? inside : lengthOnly, element),
  );
  if (gapAt !== null) view.splice(gapAt, 0, LEFT_OUT);
  return view;
}

interface Elements {
  readonly spans: readonly Counted[];
  /** Where some are left out; null where they are all there. */
  readonly gapAt: number | null;
}

/**
 * All elements; the first and the last of them where they are more than may still be viewed, the first ones alone
 * where the last are too far to walk.
 */
function elementsOf(place: Place, { start, end }: Span): Elements {
  const { bytes, left } = place;
  let at = nextToken(bytes, start + 1);
  if (at < end - 1 && left.nodes < 2 * END_ELEMENTS) return { spans: [], gapAt: 0 };
  // The other half is for what is within the elements.
  const bytesReserved = left.bytes / 2;
  const spans: Counted[] = [];
  let last: Counted[] | null = null;
  let oldest = 0;
  while (at < end - 1) {
    if (left.bytes <= bytesReserved) return { spans, gapAt: spans.length };
    const value = valueAt(place, at, end);
    if (value === null) break;
    if (last === null && spans.length === left.nodes) {
      last = spans.splice(END_ELEMENTS).slice(-END_ELEMENTS);
    }
    if (last === null) spans.push(value);
    else {
      last[oldest] = value;
      oldest = (oldest + 1) % END_ELEMENTS;
    }
    at = afterValue(place, value);
  }
  if (last === null) return { spans, gapAt: null };
  const tail = [...last.slice(oldest), ...last.slice(0, oldest)];
  return { spans: [...spans, ...tail], gapAt: END_ELEMENTS };
}

function valueAt({ bytes, knownEnds, left }: Place, start: number, to: number): Counted | null {
  const before = valuesSince(0);
  const end = endOfValue(bytes, start, to, knownEnds);
  if (end < 0) return null;
  left.bytes -= BYTES_PER_STEP + walkedOf(bytes[start]!, end - start);
  return { start, end, values: 1 + valuesSince(before) };
}

/** How much of a value was walked to find its end. */
function walkedOf(first: number, length: number): number {
  if (first === QUOTE) return Math.min(length, STRING_BYTES_WALKED);
  return length > LONG_CONTAINER_BYTES ? 0 : length;
}

/** The first byte of what follows a value. */
function afterValue({ bytes, left }: Place, { end }: Span): number {
  const at = nextToken(bytes, end);
  left.bytes -= at - end;
  return at;
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
