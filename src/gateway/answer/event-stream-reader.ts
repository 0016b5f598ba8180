import { USAGE_MARKERS } from '../../modules/metering/usage/usage-members.js';
import type { WireFormat } from '../../modules/providers/wire-format.js';
import { errorIn, type AnswerFindings, type AnswerReader } from './answer-reader.js';
import { LineScanner } from './line-scanner.js';

/** How much of an answer's head is kept, for an estimate if its usage never comes. */
export const SAMPLE_BYTES_MAX = 65_536;

/** Occurs in no line. */
const NO_MARK = '\n';

/** What the lines of a format's stream look like that matter to metering. */
export interface StreamMarks {
  /** The bytes that a data line with usage contains. */
  readonly usage: Buffer;
  /** Lines that begin the last event of a stream, as text; empty where the end of the body is the end. */
  readonly lastEvent: readonly string[];
}

/** The lines that begin a stream's last event; for other formats the end of the body is the end. */
const LAST_EVENTS: Readonly<Partial<Record<WireFormat, readonly string[]>>> = {
  openai_chat: ['data: [DONE]', 'data:[DONE]'],
  openai_responses: [
    'event: response.completed',
    'event: response.incomplete',
    'event: response.failed',
    'event: error',
  ],
  anthropic_messages: ['event: message_stop', 'event: error'],
};

export function streamMarks(format: WireFormat): StreamMarks {
  return STREAM_MARKS[format];
}

const STREAM_MARKS = Object.fromEntries(
  Object.entries(USAGE_MARKERS).map(([format, usage]) => [
    format,
    { usage: Buffer.from(usage ?? NO_MARK), lastEvent: LAST_EVENTS[format as WireFormat] ?? [] },
  ]),
) as unknown as Readonly<Record<WireFormat, StreamMarks>>;

const ERROR_MARK = Buffer.from('{"error"');
const LAST_EVENT_LINE_BYTES_MAX = 64;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_N = 0x6e;
const COLON = 0x3a;
const SPACE = 0x20;

/**
 * Watches an event stream pass by. It looks for a few marks in the bytes and parses, at the end, only the first and
 * the last event that carried usage: a chunk without marks costs a few native searches and no allocation.
 */
export class EventStreamReader implements AnswerReader {
  ended = false;
  atBoundary = true;
  private readonly lines = new LineScanner(
    (bytes, start, end) => void this.watch(bytes, start, end),
  );
  private firstUsage: Buffer | null = null;
  private lastUsage: Buffer | null = null;
  private errorLine: Buffer | null = null;
  private lastEventBegun = false;
  private markSearched: Buffer | null = null;
  private markAt = -1;
  private head: Buffer[] = [];
  private bytes = 0;

  constructor(private readonly marks: StreamMarks) {}

  feed(chunk: Buffer): Buffer {
    this.count(chunk);
    this.lines.feed(chunk);
    return chunk;
  }

  flush(): null {
    this.lines.end();
    return null;
  }

  findings(): AnswerFindings {
    const lines = this.lastUsage === null ? [] : [this.firstUsage!, this.lastUsage];
    const distinct = lines[0] === lines[1] ? lines.slice(0, 1) : lines;
    const events = distinct.map((line) => dataOf(line));
    return {
      usageEvents: events.filter((event) => event !== undefined),
      unreadable: events.includes(undefined) || (this.lines.overlong && events.length === 0),
      complete: this.ended || this.marks.lastEvent.length === 0,
      error: this.errorLine === null ? undefined : errorIn(dataOf(this.errorLine)),
    };
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return {
      bytes: Buffer.concat(this.head).subarray(0, SAMPLE_BYTES_MAX),
      totalBytes: this.bytes,
    };
  }

  /** Takes note of a chunk whose lines somebody else splits and gives to `watch`. */
  count(chunk: Buffer): void {
    if (this.bytes < SAMPLE_BYTES_MAX) this.head.push(chunk);
    this.bytes += chunk.length;
    this.atBoundary = endsEvent(chunk);
  }

  /** Looks at one line, without its end; gives the index of its first usage mark, or -1. */
  watch(bytes: Buffer, start: number, end: number): number {
    if (start === end) {
      if (this.lastEventBegun) this.ended = true;
      return -1;
    }
    const first = bytes[start];
    if (first !== LETTER_D && first !== LETTER_E) return -1;
    this.noticeLastEvent(bytes, start, end);
    if (first !== LETTER_D) return -1;
    const mark = this.nextMark(bytes, start);
    const found = mark >= 0 && mark < end;
    if (found && this.carriesUsage(bytes, mark, end)) {
      this.lastUsage = bytes.subarray(start, end);
      this.firstUsage ??= this.lastUsage;
    }
    const data = start + (bytes[start + 5] === SPACE ? 6 : 5);
    const isError = beginsWith(bytes, data, ERROR_MARK);
    if (isError || this.lastEventBegun) this.noticeError(bytes.subarray(start, end), isError);
    return found ? mark : -1;
  }

  private noticeLastEvent(bytes: Buffer, start: number, end: number): void {
    if (end - start > LAST_EVENT_LINE_BYTES_MAX || this.lastEventBegun) return;
    if (this.marks.lastEvent.length === 0) return;
    this.lastEventBegun = this.marks.lastEvent.includes(bytes.toString('latin1', start, end));
  }

  private noticeError(line: Buffer, begins: boolean): void {
    if (begins || line.includes('"error"')) this.errorLine = line;
  }

  /** True where a mark of the line is followed by something other than `null`. */
  private carriesUsage(bytes: Buffer, mark: number, end: number): boolean {
    let at = mark;
    while (at >= 0 && at < end) {
      const value = afterColon(bytes, at + this.marks.usage.length);
      if (bytes[value] !== LETTER_N) return true;
      at = bytes.indexOf(this.marks.usage, value);
      this.markAt = at;
    }
    return false;
  }

  /** The next mark in this chunk: searched once per mark and not once per line. */
  private nextMark(bytes: Buffer, from: number): number {
    if (this.markSearched !== bytes) this.markSearched = bytes;
    else if (this.markAt < 0 || this.markAt >= from) return this.markAt;
    this.markAt = bytes.indexOf(this.marks.usage, from);
    return this.markAt;
  }
}

/** The first byte of a member's value, from the end of its key. */
export function afterColon(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === COLON || bytes[at] === SPACE) at++;
  return at;
}

function beginsWith(bytes: Buffer, at: number, prefix: Buffer): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

function endsEvent(chunk: Buffer): boolean {
  const { length } = chunk;
  if (chunk[length - 1] !== 0x0a) return false;
  return chunk[length - 2] === 0x0a || (chunk[length - 2] === 0x0d && chunk[length - 3] === 0x0a);
}

function dataOf(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8', line[5] === SPACE ? 6 : 5)) as unknown;
  } catch {
    return undefined;
  }
}
