/**
 * The top-level members of a large JSON body, from its first and its last bytes alone: what lies between is large
 * because it is content, and metering reads none of it.
 */
import { endOfString, endOfValue, type Span } from '../body/json-scan.js';

/** A member and where its value lies in the bytes at hand, surrounding space included. */
export interface EdgeMember {
  readonly key: string;
  readonly value: Span;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** The members that begin and end in a body's first bytes; of an array, those of its first element. */
export function membersOfHead(head: Buffer): EdgeMember[] {
  const members: EdgeMember[] = [];
  let at = nextByte(head, 0);
  if (head[at] === OPEN_ARRAY) at = nextByte(head, at + 1);
  if (head[at] !== OPEN_OBJECT) return members;
  do {
    const key = nextByte(head, at + 1);
    if (head[key] !== QUOTE) return members;
    const keyEnd = endOfString(head, key + 1, head.length);
    const colon = keyEnd < 0 ? head.length : nextByte(head, keyEnd + 1);
    if (head[colon] !== COLON) return members;
    const start = nextByte(head, colon + 1);
    const end = endOfValue(head, start, head.length);
    // A number that meets the end may go on behind it.
    if (end < 0 || end === head.length) return members;
    members.push({ key: head.toString('utf8', key + 1, keyEnd), value: { start, end } });
    at = nextByte(head, end);
  } while (head[at] === COMMA);
  return members;
}

/**
 * The members that lie whole in a body's last bytes, the last one first; of an array, those of its last element. The
 * walk goes backwards from the brace that ends the body, so that each byte's depth is known: text cannot look like
 * a member, for a quote inside a string has a backslash before it and one that begins a string never has, and a
 * nested member is not at the depth of that brace. Null where the body does not end as JSON does.
 */
export function membersOfTail(tail: Buffer): EdgeMember[] | null {
  const members: EdgeMember[] = [];
  let at = previousByte(tail, tail.length - 1);
  if (tail[at] === CLOSE_ARRAY) at = previousByte(tail, at - 1);
  if (tail[at] !== CLOSE_OBJECT) return null;
  let depth = 0;
  let valueEnd = at;
  for (at--; at >= 0; at--) {
    const byte = tail[at];
    if (byte === QUOTE) {
      at = startOfString(tail, at);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth++;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (depth === 0) break;
      depth--;
    } else if (depth === 0 && byte === COMMA) {
      valueEnd = at;
    } else if (depth === 0 && byte === COLON) {
      const keyEnd = previousByte(tail, at - 1);
      const key = startOfString(tail, keyEnd);
      if (tail[keyEnd] !== QUOTE || key < 0) break;
      const value = { start: at + 1, end: valueEnd };
      members.push({ key: tail.toString('utf8', key + 1, keyEnd), value });
      at = key;
    }
  }
  return members;
}

/** The quote that begins the string whose closing quote is at `closing`; -1 where it lies before these bytes. */
function startOfString(bytes: Buffer, closing: number): number {
  let at = closing;
  // The first byte could be a quote of the content, whose backslash is out of sight.
  while (at > 1) {
    at = bytes.lastIndexOf(QUOTE, at - 1);
    if (at > 0 && bytes[at - 1] !== BACKSLASH) return at;
  }
  return -1;
}

function nextByte(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at++;
  return at;
}

function previousByte(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at--;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
