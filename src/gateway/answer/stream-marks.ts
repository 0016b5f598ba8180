import { SEARCH_MARKERS, USAGE_MARKERS } from '../../modules/metering/usage/usage-members.js';
import type { WireFormat } from '../../modules/providers/wire-format.js';
import { endOfValue, parseSpan } from '../body/json-scan.js';

/** What the lines of a format's stream look like that matter to metering. */
export interface StreamMarks {
  /** What a data line with usage contains; null where none has any. */
  readonly usage: Buffer | null;
  /** The key of a list of search queries, which are billed each; null where there is none. */
  readonly searches: Buffer | null;
  /** The key of an object in a chunk that may hold the error that ended the stream. */
  readonly errorHolder: Buffer | null;
  /** Lines that end a stream by themselves. */
  readonly lastLines: readonly string[];
  /** Lines that begin a stream's last event, whose data follows. */
  readonly lastEvents: readonly string[];
}

const LAST_LINES: Readonly<Partial<Record<WireFormat, readonly string[]>>> = {
  openai_chat: ['data: [DONE]', 'data:[DONE]'],
};

/**
 * Where a format has neither a last line nor a last event, the end of the body is the end. An error ends Anthropic's
 * streams, whose usage never follows it; a Responses stream may go on to `response.failed`, with usage.
 */
const LAST_EVENTS: Readonly<Partial<Record<WireFormat, readonly string[]>>> = {
  openai_responses: ['response.completed', 'response.incomplete', 'response.failed'],
  anthropic_messages: ['message_stop', 'error'],
};

const ERROR_HOLDERS: Readonly<Partial<Record<WireFormat, string>>> = { openai_chat: '"x_groq"' };

/** Both spellings of the line that names an event: the space after the colon is optional. */
export function eventLines(name: string): readonly string[] {
  return [`event: ${name}`, `event:${name}`];
}

export function streamMarks(format: WireFormat): StreamMarks {
  return STREAM_MARKS[format];
}

const STREAM_MARKS = Object.fromEntries(
  Object.keys(USAGE_MARKERS).map((name) => [name, marksOf(name as WireFormat)]),
) as unknown as Readonly<Record<WireFormat, StreamMarks>>;

function marksOf(format: WireFormat): StreamMarks {
  return {
    usage: bytesOf(USAGE_MARKERS[format]),
    searches: searchMark(format),
    errorHolder: bytesOf(ERROR_HOLDERS[format]),
    lastLines: LAST_LINES[format] ?? [],
    lastEvents: (LAST_EVENTS[format] ?? []).flatMap(eventLines),
  };
}

/** The key of a format's list of search queries, in bytes. */
export function searchMark(format: WireFormat): Buffer | null {
  return bytesOf(SEARCH_MARKERS[format]);
}

function bytesOf(mark: string | null | undefined): Buffer | null {
  return mark === null || mark === undefined ? null : Buffer.from(mark);
}

/** Searches each chunk once per mark, and not once per line. */
export class MarkFinder {
  private searched: Buffer | null = null;
  private at = -1;

  constructor(private readonly mark: Buffer | null) {}

  /** The mark's next place in these bytes from `from` on, at the most `end`; -1 where there is none. */
  next(bytes: Buffer, from: number, end: number): number {
    const at = this.find(bytes, from);
    return at < end ? at : -1;
  }

  private find(bytes: Buffer, from: number): number {
    if (this.mark === null) return -1;
    if (this.searched !== bytes) this.searched = bytes;
    else if (this.at < 0 || this.at >= from) return this.at;
    this.at = bytes.indexOf(this.mark, from);
    return this.at;
  }
}

/** The queries in the list whose key ends at `keyEnd`; those that are empty text are not run, nor billed. */
export function queriesAfter(bytes: Buffer, keyEnd: number, end: number): readonly string[] {
  const start = afterColon(bytes, keyEnd);
  const listEnd = endOfValue(bytes, start, end);
  if (listEnd < 0) return [];
  const list = parseSpan(bytes, { start, end: listEnd });
  return Array.isArray(list) ? list.filter((query) => typeof query === 'string' && query) : [];
}

/** The first byte of a member's value, from the end of its key. */
export function afterColon(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x3a || bytes[at] === 0x20) at++;
  return at;
}
