import { errorIn, type AnswerFindings, type AnswerReader } from './answer-reader.js';
import { HeldBytes } from './held-bytes.js';
import { LineScanner } from './line-scanner.js';
import {
  MarkFinder,
  afterColon,
  eventLines,
  queriesAfter,
  type StreamMarks,
} from './stream-marks.js';

/** How much of an answer's head is kept, for an estimate if its usage never comes. */
export const SAMPLE_BYTES_MAX = 65_536;

const ERROR_MARK = Buffer.from('{"error"');
const ERROR_KEY = Buffer.from('"error"');
const ERROR_EVENTS = eventLines('error');
/** No line of the closed set that names a last or an error event is longer. */
const NAMED_LINE_BYTES_MAX = 64;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_N = 0x6e;
const SPACE = 0x20;

/**
 * Watches an event stream pass by. It looks for a few marks in the bytes and parses, at the end, only the first and
 * the last event that carried usage, the last that named search queries, and an error: a chunk without marks costs a
 * few native searches, and no allocation once the head is kept.
 */
export class EventStreamReader implements AnswerReader {
  ended = false;
  atBoundary = true;
  private readonly lines = new LineScanner(
    (bytes, start, end) => void this.watch(bytes, start, end),
  );
  private readonly usage: MarkFinder;
  private readonly searches: MarkFinder;
  private readonly errorHolders: MarkFinder;
  private firstUsage: Buffer | null = null;
  private lastUsage: Buffer | null = null;
  private lastSearches: Buffer | null = null;
  private errorLine: Buffer | null = null;
  private isErrorNamed = false;
  /** The data of the last event. */
  private closing: Buffer | null = null;
  private inErrorEvent = false;
  private inLastEvent = false;
  private readonly head = new HeldBytes(SAMPLE_BYTES_MAX);
  private bytes = 0;

  constructor(private readonly marks: StreamMarks) {
    this.usage = new MarkFinder(marks.usage);
    this.searches = new MarkFinder(marks.searches);
    this.errorHolders = new MarkFinder(marks.errorHolder);
  }

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
    const parsed = new ParsedLines();
    // Where the queries stand between the other two does not matter: a later line of theirs carries no usage.
    const lines = [this.firstUsage, this.lastSearches, this.lastUsage];
    const events = [...new Set(lines)]
      .filter((line) => line !== null)
      .map((line) => parsed.valueOf(line));
    return {
      usageEvents: events.filter((event) => event !== undefined),
      unreadable: events.includes(undefined) || (this.lines.overlong && this.lastUsage === null),
      complete: this.ended || this.isComplete(parsed),
      error: this.error(parsed),
    };
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return { bytes: this.head.view(), totalBytes: this.bytes };
  }

  /** Takes note of a chunk whose lines somebody else splits and gives to `watch`. */
  count(chunk: Buffer): void {
    const room = SAMPLE_BYTES_MAX - this.head.length;
    if (room > 0) this.head.append(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.bytes += chunk.length;
    this.atBoundary = endsEvent(chunk);
  }

  /** Looks at one line, without its end; gives the index of its first usage mark, or -1. */
  watch(bytes: Buffer, start: number, end: number): number {
    if (start === end) {
      if (this.inLastEvent) this.ended = true;
      this.inErrorEvent = false;
      return -1;
    }
    const first = bytes[start];
    if (first !== LETTER_D && first !== LETTER_E) return -1;
    if (end - start <= NAMED_LINE_BYTES_MAX) this.noticeNamed(bytes, start, end);
    return first === LETTER_D ? this.watchData(bytes, start, end) : -1;
  }

  private watchData(bytes: Buffer, start: number, end: number): number {
    const mark = this.usage.next(bytes, start, end);
    const hasUsage = mark >= 0 && this.carriesUsage(bytes, mark, end);
    const hasSearches = this.namesSearches(bytes, start, end);
    const hasError = this.inErrorEvent || this.statesError(bytes, start, end);
    if (!hasUsage && !hasSearches && !hasError && !this.inLastEvent) return mark;
    // One object per line, by which a line that is kept for several reasons is known.
    const line = bytes.subarray(start, end);
    if (hasUsage) {
      this.firstUsage ??= line;
      this.lastUsage = line;
    }
    if (hasSearches) this.lastSearches = line;
    if (hasError) {
      this.errorLine = line;
      this.isErrorNamed = this.inErrorEvent;
    }
    if (this.inLastEvent) this.closing = line;
    return mark;
  }

  private noticeNamed(bytes: Buffer, start: number, end: number): void {
    const line = bytes.toString('latin1', start, end);
    if (ERROR_EVENTS.includes(line)) this.inErrorEvent = true;
    if (this.marks.lastEvents.includes(line)) this.inLastEvent = true;
    // Clients stop reading at this line, without waiting for the blank one.
    if (this.marks.lastLines.includes(line)) this.ended = true;
  }

  /** True where a mark of the line is followed by something other than `null`. */
  private carriesUsage(bytes: Buffer, mark: number, end: number): boolean {
    let at = mark;
    while (at >= 0) {
      const value = afterColon(bytes, at + this.marks.usage!.length);
      if (bytes[value] !== LETTER_N) return true;
      at = this.usage.next(bytes, value, end);
    }
    return false;
  }

  private namesSearches(bytes: Buffer, start: number, end: number): boolean {
    let at = this.searches.next(bytes, start, end);
    while (at >= 0) {
      const keyEnd = at + this.marks.searches!.length;
      if (queriesAfter(bytes, keyEnd, end).length > 0) return true;
      at = this.searches.next(bytes, keyEnd, end);
    }
    return false;
  }

  private statesError(bytes: Buffer, start: number, end: number): boolean {
    const data = start + (bytes[start + 5] === SPACE ? 6 : 5);
    if (beginsWith(bytes, data, ERROR_MARK)) {
      return bytes[afterColon(bytes, data + ERROR_MARK.length)] !== LETTER_N;
    }
    const holder = this.errorHolders.next(bytes, start, end);
    if (holder < 0) return false;
    const error = bytes.subarray(0, end).indexOf(ERROR_KEY, holder);
    return error >= 0 && bytes[afterColon(bytes, error + ERROR_KEY.length)] !== LETTER_N;
  }

  /** At the end of the body, a last event that lacks nothing but its blank line is whole. */
  private isComplete(parsed: ParsedLines): boolean {
    const { lastLines, lastEvents } = this.marks;
    if (lastLines.length === 0 && lastEvents.length === 0) return true;
    return this.closing !== null && parsed.valueOf(this.closing) !== undefined;
  }

  private error(parsed: ParsedLines): unknown {
    const last = this.closing === null ? undefined : errorIn(parsed.valueOf(this.closing));
    if (last !== undefined || this.errorLine === null) return last;
    const value = parsed.valueOf(this.errorLine);
    // What an event of that name says is an error in whatever shape.
    return errorIn(value) ?? (this.isErrorNamed ? (value ?? {}) : undefined);
  }
}

/** Parses each line once, however many questions are asked of it. */
class ParsedLines {
  private readonly values = new Map<Buffer, unknown>();

  /** Undefined where the line's data is not JSON. */
  valueOf(line: Buffer): unknown {
    if (!this.values.has(line)) this.values.set(line, dataOf(line));
    return this.values.get(line);
  }
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
