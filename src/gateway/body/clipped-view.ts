import {
  endOfString,
  endOfValue,
  parseSpan,
  valuesSince,
  type LongStrings,
  type Member,
  type Span,
} from './json-scan.js';
import { LEFT_OUT } from '../../modules/classifier/json-shapes.js';

/**
 * A bounded view of a large JSON value: long strings keep their head, tail and length. Its structure is kept whole up
 * to `NODES_MAX` values; of what is more, arrays keep their first and last elements. Hashes and structural facts are
 * computed from it, so that a long prompt costs little more than a short one. The bytes must have passed `scanObject`,
 * which noted where the long strings end. Wherever something is left out `LEFT_OUT` stands, as an element or a name.
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
/** Deeper levels are left out of the view. */
export const VIEW_DEPTH_MAX = 16;

/** A value that is parsed at once counts for all that it holds, and for its length. */
const BYTES_PER_NODE = 64;

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/** A scanned object: its bytes, where it and its members lie, where its long strings end. */
export interface Scanned {
  readonly object: Span;
  readonly members: readonly Member[];
  readonly longStrings: LongStrings;
}

export function clippedView(bytes: Buffer, { object, members, longStrings }: Scanned): unknown {
  if (object.end - object.start <= PARSED_WHOLE_BYTES_MAX) return parseSpan(bytes, object);
  const place = { bytes, longStrings, withText: true, depth: 0, nodes: { left: NODES_MAX } };
  const view: Record<string, unknown> = {};
  if (members.length > MEMBERS_VIEWED_MAX) view[LEFT_OUT] = true;
  // The last ones, as parsers take the last of a name.
  for (const { key, value } of members.slice(-MEMBERS_VIEWED_MAX)) {
    const values = value.end - value.start;
    setOwn(view, key, viewOf(place, { ...value, values }));
  }
  return view;
}

interface Counted extends Span {
  /** Itself and those within it, or more. */
  readonly values: number;
}

interface Place {
  readonly bytes: Buffer;
  readonly longStrings: LongStrings;
  readonly withText: boolean;
  readonly depth: number;
  /** How many more may be viewed: one count for the whole view. */
  readonly nodes: { left: number };
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
function parsedWhole({ bytes, nodes }: Place, span: Counted): unknown {
  const length = span.end - span.start;
  const cost = Math.max(span.values, Math.ceil(length / BYTES_PER_NODE));
  if (length > STRING_BYTES_MAX || cost > nodes.left) return undefined;
  const parsed = parseSpan(bytes, span);
  if (parsed !== undefined) nodes.left -= cost;
  return parsed;
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
  const { bytes, nodes } = place;
  const inside = { ...place, depth: place.depth + 1 };
  const view: Record<string, unknown> = {};
  let members = 0;
  let at = nextToken(bytes, start + 1);
  while (at < end - 1) {
    if (members === MEMBERS_VIEWED_MAX || nodes.left <= 0) {
      view[LEFT_OUT] = true;
      return view;
    }
    const keyEnd = endOfString(bytes, at + 1, end);
    if (keyEnd < 0) return view;
    const value = valueAt(place, nextToken(bytes, keyEnd + 1), end);
    if (value === null) return view;
    members++;
    nodes.left--;
    setOwn(view, decode(bytes, at + 1, keyEnd), viewOf(inside, value));
    at = nextToken(bytes, value.end);
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
  const { nodes } = place;
  const { spans, isWhole } = elementsOf(place, span);
  nodes.left -= spans.length;
  const inside = { ...place, depth: place.depth + 1 };
  const lengthOnly = { ...inside, withText: false };
  const isNearEnd = (index: number): boolean =>
    index < ELEMENTS_WITH_TEXT || index >= spans.length - ELEMENTS_WITH_TEXT;
  const view = spans.map((element, index) =>
    viewOf(isNearEnd(index) ? inside : lengthOnly, element),
  );
  if (!isWhole) view.splice(spans.length / 2, 0, LEFT_OUT);
  return view;
}

/** All elements, or the first and the last of them where they are more than may still be viewed. */
function elementsOf(
  place: Place,
  { start, end }: Span,
): { readonly spans: readonly Counted[]; readonly isWhole: boolean } {
  const { bytes, nodes } = place;
  let at = nextToken(bytes, start + 1);
  if (at < end - 1 && nodes.left < 2 * END_ELEMENTS) return { spans: [], isWhole: false };
  const spans: Counted[] = [];
  let last: Counted[] | null = null;
  let oldest = 0;
  while (at < end - 1) {
    const value = valueAt(place, at, end);
    if (value === null) break;
    if (last === null && spans.length === nodes.left) {
      last = spans.splice(END_ELEMENTS).slice(-END_ELEMENTS);
    }
    if (last === null) spans.push(value);
    else {
      last[oldest] = value;
      oldest = (oldest + 1) % END_ELEMENTS;
    }
    at = nextToken(bytes, value.end);
  }
  if (last === null) return { spans, isWhole: true };
  return { spans: [...spans, ...last.slice(oldest), ...last.slice(0, oldest)], isWhole: false };
}

function valueAt({ bytes, longStrings }: Place, start: number, to: number): Counted | null {
  const before = valuesSince(0);
  const end = endOfValue(bytes, start, to, longStrings);
  return end < 0 ? null : { start, end, values: 1 + valuesSince(before) };
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
