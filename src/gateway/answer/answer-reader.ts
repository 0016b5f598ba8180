/** What a reader learnt of an answer by the time it ended. */
export interface AnswerFindings {
  /**
   * The parsed JSON objects that carry usage, in order of arrival: for streams the first and the last, and between
   * them the last that named search queries.
   */
  readonly usageEvents: readonly unknown[];
  /** The answer could not be read: not JSON, over a bound, an unknown encoding. */
  readonly unreadable: boolean;
  /** The answer's own end was seen (a stream's last event, a whole JSON body). */
  readonly complete: boolean;
  /** The parsed error that a stream carried after its 200, or that an error status came with. */
  readonly error: unknown;
}

/**
 * Reads an answer on its way through. `feed` gives back the bytes to release now: the same buffer where nothing
 * is to be taken out, null where everything must wait for more.
 */
export interface AnswerReader {
  feed(chunk: Buffer): Buffer | null;
  /** What is still held back when the provider's answer has ended. */
  flush(): Buffer | null;
  /** True once the event that ends the stream for the client has been fed. */
  readonly ended: boolean;
  /** True where a next event could be written: nothing is half-released. */
  readonly atBoundary: boolean;
  /** Call once, after the last byte; waits only for bodies that had to be decompressed. */
  findings(): AnswerFindings | Promise<AnswerFindings>;
  /** The first bytes of the answer, for an estimate where usage never came; and how many there were in all. */
  sample(): { readonly bytes: Buffer; readonly totalBytes: number };
}

export const NO_FINDINGS: AnswerFindings = {
  usageEvents: [],
  unreadable: false,
  complete: true,
  error: undefined,
};

/** The error inside a parsed answer or event, in any provider's shape; undefined where there is none. */
export function errorIn(event: unknown): unknown {
  if (!isRecord(event)) return undefined;
  if (isRecord(event['error'])) return event['error'];
  const { response } = event;
  if (isRecord(response) && isRecord(response['error'])) return response['error'];
  const groq = isRecord(event['x_groq']) ? event['x_groq']['error'] : null;
  if (isRecord(groq)) return groq;
  // Groq's own word for why it stopped early; as a code, since it may be one of the closed set.
  if (typeof groq === 'string' && groq !== '') return { code: groq };
  return event['type'] === 'error' ? event : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** For answers that nothing is read from. */
export class OpaqueReader implements AnswerReader {
  readonly ended = false;
  readonly atBoundary = false;

  feed(chunk: Buffer): Buffer {
    return chunk;
  }

  flush(): null {
    return null;
  }

  findings(): AnswerFindings {
    return NO_FINDINGS;
  }

  sample(): { bytes: Buffer; totalBytes: number } {
    return { bytes: Buffer.alloc(0), totalBytes: 0 };
  }
}
