import { parseSpan, scanObject } from '../body/json-scan.js';
import { SAMPLE_BYTES_MAX } from './event-stream-reader.js';
import { errorIn, type AnswerFindings, type AnswerReader } from './answer-reader.js';

/** A larger answer is relayed all the same, but not read. */
export const JSON_BODY_BYTES_MAX = 16 * 1024 * 1024;
/** A smaller body is parsed whole; of a larger one only the members that metering reads. */
const PARSED_WHOLE_BYTES_MAX = 16_384;

/** Keeps a JSON answer while it passes, and reads the members of interest at its end. */
export class JsonBodyReader implements AnswerReader {
  readonly ended = false;
  readonly atBoundary = false;
  private chunks: Buffer[] = [];
  private bytes = 0;

  constructor(private readonly members: ReadonlySet<string>) {}

  feed(chunk: Buffer): Buffer {
    this.bytes += chunk.length;
    if (this.bytes <= JSON_BODY_BYTES_MAX) this.chunks.push(chunk);
    else this.chunks = [];
    return chunk;
  }

  flush(): null {
    return null;
  }

  findings(): AnswerFindings {
    const value = this.bytes > JSON_BODY_BYTES_MAX ? undefined : this.read(this.body());
    const unreadable = value === undefined;
    // A JSON array is Google's stream without `alt=sse`: its usage is cumulative, the last element counts.
    const events = Array.isArray(value) ? value : unreadable ? [] : [value];
    return {
      usageEvents: events,
      unreadable,
      complete: !unreadable,
      error: errorIn(events.at(-1)),
    };
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return { bytes: this.body().subarray(0, SAMPLE_BYTES_MAX), totalBytes: this.bytes };
  }

  private body(): Buffer {
    return this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
  }

  private read(body: Buffer): unknown {
    if (body.length <= PARSED_WHOLE_BYTES_MAX)
      return parseSpan(body, { start: 0, end: body.length });
    const scan = scanObject(body);
    if (!scan.ok) {
      if (scan.reason !== 'not_an_object') return undefined;
      return parseSpan(body, { start: 0, end: body.length });
    }
    const picked = scan.members.filter(({ key }) => key === 'error' || this.members.has(key));
    return Object.fromEntries(picked.map((member) => [member.key, parseSpan(body, member.value)]));
  }
}
