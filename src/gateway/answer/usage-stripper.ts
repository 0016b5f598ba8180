import {
  endOfString,
  endOfValue,
  parseSpan,
  scanObject,
  type Member,
  type Span,
} from '../body/json-scan.js';
import type { AnswerFindings, AnswerReader } from './answer-reader.js';
import { EventStreamReader } from './event-stream-reader.js';
import { HeldBytes } from './held-bytes.js';
import { LINE_BYTES_MAX } from './line-scanner.js';
import { afterColon, streamMarks } from './stream-marks.js';

const USAGE_KEY_BYTES = '"usage"'.length;
const NULL_BYTES = 'null'.length;
const LETTER_N = 0x6e;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const COMMA = 0x2c;
const COLON = 0x3a;
const CLOSE_OBJECT = 0x7d;
const DATA_BYTES = 'data:'.length;

/** Every byte of the line; its event is dropped. */
const WHOLE_LINE = 'whole line';

/**
 * Takes out of an OpenAI-format stream what our own `include_usage` added to it: the `"usage":null` of every chunk
 * and the last chunk, which has usage and no choices. Everything else passes as it came. Works line by line; only
 * a line that is not yet whole is held back.
 */
export class UsageStripper implements AnswerReader {
  private readonly reader = new EventStreamReader(streamMarks('openai_chat'));
  private readonly held = new HeldBytes(LINE_BYTES_MAX);
  /** A line over the bound passes unread, to its end. */
  private passing = false;
  private lineOfEvent = 0;
  private dropsBlank = false;
  /** What went wrong in here; from then on everything passes as it comes. */
  private fault: { readonly error: unknown } | null = null;

  get ended(): boolean {
    return this.reader.ended;
  }

  get atBoundary(): boolean {
    return this.held.length === 0 && !this.passing && this.reader.atBoundary;
  }

  feed(chunk: Buffer): Buffer | null {
    if (this.fault !== null) return chunk;
    const held = this.held.view();
    try {
      return this.strip(chunk);
    } catch (error) {
      // Nothing of this chunk was released, and what was held before it would be missing from the answer.
      return this.giveUp(error, joined([held, chunk]));
    }
  }

  flush(): Buffer | null {
    if (this.held.length === 0) return null;
    const line = this.held.take();
    try {
      return without(line, this.inspect(line, 0, line.length));
    } catch (error) {
      return this.giveUp(error, line);
    }
  }

  /** Throws what went wrong in reading, where it did: the bytes were kept from it, the count cannot be. */
  findings(): AnswerFindings {
    if (this.fault !== null) throw this.fault.error;
    return this.reader.findings();
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return this.reader.sample();
  }

  private giveUp(error: unknown, bytes: Buffer | null): Buffer | null {
    this.fault = { error };
    this.held.take();
    return bytes;
  }

  private strip(chunk: Buffer): Buffer | null {
    this.reader.count(chunk);
    const pieces: Buffer[] = [];
    let at = this.completeHeld(chunk, pieces);
    let from = at;
    for (;;) {
      const feed = at < chunk.length ? chunk.indexOf(LINE_FEED, at) : -1;
      if (feed < 0) break;
      const cut = this.inspect(chunk, at, feed);
      if (cut !== null) {
        const [start, end] = cut === WHOLE_LINE ? [at, feed + 1] : [cut.start, cut.end];
        if (start > from) pieces.push(chunk.subarray(from, start));
        from = end;
      }
      at = feed + 1;
    }
    if (at > from) pieces.push(chunk.subarray(from, at));
    if (at < chunk.length) this.hold(chunk.subarray(at), pieces);
    return joined(pieces);
  }

  /** Ends the line that earlier chunks began; gives the index after it. */
  private completeHeld(chunk: Buffer, pieces: Buffer[]): number {
    if (this.held.length === 0 && !this.passing) return 0;
    const feed = chunk.indexOf(LINE_FEED);
    if (feed < 0) return 0;
    this.hold(chunk.subarray(0, feed + 1), pieces);
    if (this.passing) {
      this.passing = false;
      return feed + 1;
    }
    const line = this.held.take();
    const rest = without(line, this.inspect(line, 0, line.length - 1));
    if (rest !== null) pieces.push(rest);
    return feed + 1;
  }

  private hold(piece: Buffer, pieces: Buffer[]): void {
    if (!this.passing && this.held.append(piece)) return;
    if (this.held.length > 0) pieces.push(this.held.take());
    pieces.push(piece);
    this.passing = true;
  }

  /** What of the line from `start` to its line feed is to be left out; null where nothing is. */
  private inspect(bytes: Buffer, start: number, feed: number): Span | typeof WHOLE_LINE | null {
    const end = feed > start && bytes[feed - 1] === CARRIAGE_RETURN ? feed - 1 : feed;
    const mark = this.reader.watch(bytes, start, end);
    if (end === start) {
      const drops = this.dropsBlank;
      this.dropsBlank = false;
      this.lineOfEvent = 0;
      return drops ? WHOLE_LINE : null;
    }
    this.lineOfEvent++;
    if (mark < 0) return null;
    const cut = nullMember(bytes, mark, end) ?? slowCut(bytes, start + DATA_BYTES, end);
    // With other lines before it, the event goes on without its data, and ends as it did.
    if (cut === WHOLE_LINE) this.dropsBlank = this.lineOfEvent === 1;
    return cut;
  }
}

function joined(pieces: readonly Buffer[]): Buffer | null {
  if (pieces.length === 0) return null;
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

function without(line: Buffer, cut: Span | typeof WHOLE_LINE | null): Buffer | null {
  if (cut === null) return line;
  if (cut === WHOLE_LINE) return null;
  return Buffer.concat([line.subarray(0, cut.start), line.subarray(cut.end)]);
}

/**
 * The usual chunk: `,"usage":null` among the last members of the line's object. That it is the outermost object is
 * known from what follows: further members, and the brace that ends the line. Null where the line looks otherwise.
 */
function nullMember(bytes: Buffer, mark: number, end: number): Span | null {
  if (bytes[mark - 1] !== COMMA) return null;
  const value = afterColon(bytes, mark + USAGE_KEY_BYTES);
  if (bytes[value] !== LETTER_N) return null;
  let at = value + NULL_BYTES;
  const span = { start: mark - 1, end: at };
  while (bytes[at] === COMMA) {
    const keyEnd = endOfString(bytes, at + 2, end);
    if (keyEnd < 0 || bytes[keyEnd + 1] !== COLON) return null;
    at = endOfValue(bytes, keyEnd + 2, end);
    if (at < 0) return null;
  }
  return bytes[at] === CLOSE_OBJECT && at + 1 === end ? span : null;
}

/** Any other line with a usage mark, read as the JSON object that it is. */
function slowCut(bytes: Buffer, start: number, end: number): Span | typeof WHOLE_LINE | null {
  const scan = scanObject(bytes, start, end);
  if (!scan.ok) return null;
  const at = scan.members.findIndex((member) => member.key === 'usage');
  if (at < 0) return null;
  return isUsageChunk(bytes, scan.members, at) ? WHOLE_LINE : memberSpan(scan.members, at);
}

/** The chunk that exists only to carry usage: `choices` is empty and usage is not null. */
function isUsageChunk(bytes: Buffer, members: readonly Member[], usageAt: number): boolean {
  const choices = members.find((member) => member.key === 'choices');
  if (choices === undefined || bytes[members[usageAt]!.value.start] !== 0x7b) return false;
  const value = parseSpan(bytes, choices.value);
  return Array.isArray(value) && value.length === 0;
}

/** A member together with the comma that joins it to its neighbours. */
function memberSpan(members: readonly Member[], at: number): Span {
  const member = members[at]!;
  const before = members[at - 1];
  if (before !== undefined) return { start: before.value.end, end: member.value.end };
  return { start: member.keySpan.start, end: members[at + 1]?.keySpan.start ?? member.value.end };
}
