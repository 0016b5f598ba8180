import { parseSpan, scanObject, type Member } from '../body/json-scan.js';
import type { AnswerFindings, AnswerReader } from './answer-reader.js';
import { EventStreamReader, streamMarks } from './event-stream-reader.js';
import { LINE_BYTES_MAX } from './line-scanner.js';

const USAGE_MARK = Buffer.from('"usage"');
const DATA = Buffer.from('data:');
const NOTHING = Buffer.alloc(0);
/** As many bytes as precede the last one of a blank line. */
const TAIL_BYTES = 2;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Takes out of an OpenAI-format stream what our own `include_usage` added to it: the `"usage":null` of every chunk
 * and the last chunk, which has usage and no choices. Everything else passes as it came.
 */
export class UsageStripper implements AnswerReader {
  private readonly reader = new EventStreamReader(streamMarks('openai_chat'));
  private held: Buffer[] = [];
  private heldBytes = 0;
  /** The last bytes of the event that is not yet whole, as a blank line may span chunks. */
  private tail = NOTHING;
  /** An event over the bound passes unread, to its end. */
  private passing = false;

  get ended(): boolean {
    return this.reader.ended;
  }

  get atBoundary(): boolean {
    return this.heldBytes === 0 && this.reader.atBoundary;
  }

  feed(chunk: Buffer): Buffer | null {
    this.reader.feed(chunk);
    const end = endOfLastEvent(chunk, this.tail);
    if (end === 0) return this.hold(chunk);
    const events = this.heldBytes > 0 ? Buffer.concat([...this.held, chunk.subarray(0, end)]) : chunk.subarray(0, end);
    this.drop();
    this.tail = NOTHING;
    const released = this.passing ? events : stripEvents(events);
    this.passing = false;
    if (end < chunk.length) this.hold(chunk.subarray(end));
    return released.length === 0 ? null : released;
  }

  flush(): Buffer | null {
    this.reader.flush();
    if (this.heldBytes === 0) return null;
    const rest = Buffer.concat(this.held);
    this.drop();
    const stripped = stripEvents(rest);
    return stripped.length === 0 ? null : stripped;
  }

  findings(): AnswerFindings {
    return this.reader.findings();
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return this.reader.sample();
  }

  private hold(piece: Buffer): Buffer | null {
    this.tail = Buffer.concat([this.tail, piece.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
    if (this.passing) return piece;
    this.held.push(piece);
    this.heldBytes += piece.length;
    if (this.heldBytes <= LINE_BYTES_MAX) return null;
    const all = Buffer.concat(this.held);
    this.drop();
    this.passing = true;
    return all;
  }

  private drop(): void {
    this.held = [];
    this.heldBytes = 0;
  }
}

/** The index after the last blank line of a chunk; 0 where no event ends in it. `before` is what precedes it. */
function endOfLastEvent(chunk: Buffer, before: Buffer): number {
  let at = chunk.length;
  for (;;) {
    const feed = at > 0 ? chunk.lastIndexOf(LINE_FEED, at - 1) : -1;
    if (feed < 0) return 0;
    if (isBlankLineEnd(chunk, feed, before)) return feed + 1;
    at = feed;
  }
}

function isBlankLineEnd(chunk: Buffer, feed: number, before: Buffer): boolean {
  const byteAt = (index: number): number | undefined =>
    index >= 0 ? chunk[index] : before[before.length + index];
  const previous = byteAt(feed - 1);
  return previous === LINE_FEED || (previous === CARRIAGE_RETURN && byteAt(feed - 2) === LINE_FEED);
}

/** Whole events, without what the injection added. */
function stripEvents(events: Buffer): Buffer {
  if (!events.includes(USAGE_MARK)) return events;
  const kept: Buffer[] = [];
  let start = 0;
  while (start < events.length) {
    const end = endOfFirstEvent(events, start);
    kept.push(stripEvent(events.subarray(start, end)));
    start = end;
  }
  return kept.length === 1 ? kept[0]! : Buffer.concat(kept);
}

function endOfFirstEvent(events: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const feed = events.indexOf(LINE_FEED, at);
    if (feed < 0) return events.length;
    const blank = feed === at || (feed === at + 1 && events[at] === CARRIAGE_RETURN);
    at = feed + 1;
    if (blank) return at;
  }
}

function stripEvent(event: Buffer): Buffer {
  const line = event.indexOf(DATA);
  if (line < 0 || (line > 0 && event[line - 1] !== LINE_FEED) || !event.includes(USAGE_MARK)) return event;
  const feed = event.indexOf(LINE_FEED, line);
  const scan = scanObject(event, line + DATA.length, feed < 0 ? event.length : feed);
  if (!scan.ok) return event;
  const at = scan.members.findIndex((member) => member.key === 'usage');
  if (at < 0) return event;
  if (isUsageChunk(event, scan.members, at)) return NOTHING;
  const [from, to] = memberSpan(scan.members, at);
  return Buffer.concat([event.subarray(0, from), event.subarray(to)]);
}

/** The chunk that exists only to carry usage: `choices` is empty and usage is not null. */
function isUsageChunk(event: Buffer, members: readonly Member[], usageAt: number): boolean {
  const choices = members.find((member) => member.key === 'choices');
  if (choices === undefined || event[members[usageAt]!.value.start] !== 0x7b) return false;
  const value = parseSpan(event, choices.value);
  return Array.isArray(value) && value.length === 0;
}

/** A member together with the comma that joins it to its neighbours. */
function memberSpan(members: readonly Member[], at: number): [from: number, to: number] {
  const member = members[at]!;
  const before = members[at - 1];
  if (before !== undefined) return [before.value.end, member.value.end];
  return [member.keySpan.start, members[at + 1]?.keySpan.start ?? member.value.end];
}
