import { parseSpan, scanObject } from '../body/json-scan.js';
import { errorIn, type AnswerFindings, type AnswerReader } from './answer-reader.js';
import { SAMPLE_BYTES_MAX } from './event-stream-reader.js';
import { HeldBytes, LastBytes } from './held-bytes.js';
import { membersOfHead, membersOfTail, type EdgeMember } from './json-edges.js';
import { queriesAfter } from './stream-marks.js';

/** Of a larger answer only its two ends are kept: embeddings and images are large, their usage is not. */
export const WHOLE_BODY_BYTES_MAX = 1024 * 1024;
/** So much of each end. */
const EDGE_BYTES_MAX = 65_536;
/** A smaller body is parsed whole; of a larger one only the members that metering reads. */
const PARSED_WHOLE_BYTES_MAX = 16_384;

const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;
/** The members that have the counts, in any format. */
const USAGE_KEYS = ['usage', 'usageMetadata'] as const;

/** Keeps a JSON answer, or its ends, while it passes, and reads the members of interest at its end. */
export class JsonBodyReader implements AnswerReader {
  readonly ended = false;
  readonly atBoundary = false;
  private readonly whole = new HeldBytes(WHOLE_BODY_BYTES_MAX);
  private readonly tail = new LastBytes(EDGE_BYTES_MAX);
  private head: Buffer | null = null;
  private bytes = 0;

  constructor(
    private readonly members: ReadonlySet<string>,
    /** The key of a list of billed search queries, where the format has one. */
    private readonly searches: Buffer | null = null,
  ) {}

  feed(chunk: Buffer): Buffer {
    this.bytes += chunk.length;
    if (this.head === null && this.whole.append(chunk)) return chunk;
    if (this.head === null) this.keepEdges(chunk);
    this.tail.append(chunk);
    return chunk;
  }

  flush(): null {
    return null;
  }

  findings(): AnswerFindings {
    const events = this.head === null ? this.readWhole() : this.readEdges(this.head);
    return {
      usageEvents: events ?? [],
      unreadable: events === null,
      complete: events !== null,
      error: errorIn(events?.at(-1)),
    };
  }

  /** A copy, so that an estimate that waits does not keep the body in memory. */
  sample(): { bytes: Buffer; totalBytes: number } {
    const head = this.head ?? this.whole.view().subarray(0, SAMPLE_BYTES_MAX);
    return { bytes: Buffer.from(head), totalBytes: this.bytes };
  }

  private keepEdges(chunk: Buffer): void {
    const body = this.whole.take();
    const rest = chunk.subarray(0, Math.max(0, EDGE_BYTES_MAX - body.length));
    this.head = Buffer.concat([body.subarray(0, EDGE_BYTES_MAX), rest]);
    this.tail.append(body);
  }

  /** Null where the body is not JSON. */
  private readWhole(): readonly unknown[] | null {
    const body = this.whole.view();
    const value = this.valueOf(body);
    if (value === undefined) return null;
    // A JSON array is Google's stream without `alt=sse`: its usage is cumulative, the last element counts.
    return Array.isArray(value) ? value : [value];
  }

  private valueOf(body: Buffer): unknown {
    const all = { start: 0, end: body.length };
    if (body.length <= PARSED_WHOLE_BYTES_MAX) return parseSpan(body, all);
    const scan = scanObject(body);
    if (!scan.ok) return scan.reason === 'not_an_object' ? parseSpan(body, all) : undefined;
    return this.picked(body, scan.members);
  }

  /** Null where the body does not end as JSON does, or a usage may lie between its ends. */
  private readEdges(head: Buffer): readonly unknown[] | null {
    const tail = this.tail.view();
    const first = head[head.findIndex((byte) => byte > 0x20)];
    const ending = membersOfTail(tail);
    if ((first !== OPEN_OBJECT && first !== OPEN_ARRAY) || ending === null) return null;
    const isArray = first === OPEN_ARRAY;
    const begun = this.picked(head, membersOfHead(head));
    const ended = {
      ...this.groundingIn(tail, isArray),
      ...this.picked(tail, ending.toReversed()),
    };
    const last = isArray ? ended : { ...begun, ...ended };
    const isFound = USAGE_KEYS.some((key) => key in last) || errorIn(last) !== undefined;
    if (!isFound && USAGE_KEYS.some((key) => this.members.has(key))) return null;
    return isArray ? [begun, last] : [last];
  }

  private picked(bytes: Buffer, members: readonly EdgeMember[]): Record<string, unknown> {
    const picked = members.filter(({ key }) => key === 'error' || this.members.has(key));
    return Object.fromEntries(picked.map(({ key, value }) => [key, parseSpan(bytes, value)]));
  }

  /**
   * The lists of search queries, in the place where Gemini has them: its candidates are too large to be kept. Each
   * candidate of an answer has a list of its own; the elements of an array may repeat theirs, and the last counts.
   */
  private groundingIn(tail: Buffer, isArray: boolean): Record<string, unknown> {
    if (this.searches === null) return {};
    const candidates: unknown[] = [];
    let at = tail.indexOf(this.searches);
    while (at >= 0) {
      const keyEnd = at + this.searches.length;
      const webSearchQueries = queriesAfter(tail, keyEnd, tail.length);
      if (webSearchQueries.length > 0) candidates.push({ groundingMetadata: { webSearchQueries } });
      at = tail.indexOf(this.searches, keyEnd);
    }
    return { candidates: isArray ? candidates.slice(-1) : candidates };
  }
}
