const RECENT_MAX = 100;

/** What is remembered of one request: its shape, never its content. */
export interface RequestTrace {
  /** Counted from 1 since the sandbox started. */
  readonly sequence: number;
  readonly method: string;
  /** The template of the path, such as `/google/v1beta/models/{model}:generateContent`. */
  readonly route: string;
  /** The names of the request's headers, sorted; values are not kept. */
  readonly headerNames: readonly string[];
  readonly queryNames: readonly string[];
  /** Of the body as it arrived, so that a test can tell that it was not changed on the way. */
  readonly bodyBytes: number;
  readonly bodySha256: string;
  readonly model: string | null;
  status: number | null;
  /** Events of a stream that were handed to the socket. */
  framesSent: number;
  /** The sandbox itself cut the connection, as a directive told it to. */
  cut: boolean;
  /** The caller went away before the answer was complete. */
  aborted: boolean;
  /** The answer is complete, or will never be. */
  finished: boolean;
}

export interface SandboxStats {
  readonly sandbox: true;
  readonly requests: number;
  readonly requestsByRoute: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly abortedConnections: number;
  /** The newest last, at most 100. */
  readonly recent: readonly RequestTrace[];
}

/** Counts requests; bounded, and emptied with `reset`. */
export class SandboxCounter {
  private requests = 0;
  private inFlight = 0;
  private aborted = 0;
  private readonly byRoute = new Map<string, number>();
  private readonly recent: RequestTrace[] = [];

  begin(
    seen: Omit<RequestTrace, 'sequence' | 'status' | 'framesSent' | 'cut' | 'aborted' | 'finished'>,
  ): RequestTrace {
    this.requests += 1;
    this.inFlight += 1;
    this.byRoute.set(seen.route, (this.byRoute.get(seen.route) ?? 0) + 1);
    const trace: RequestTrace = {
      ...seen,
      sequence: this.requests,
      status: null,
      framesSent: 0,
      cut: false,
      aborted: false,
      finished: false,
    };
    this.recent.push(trace);
    if (this.recent.length > RECENT_MAX) this.recent.shift();
    return trace;
  }

  /** `complete`: the whole answer was handed over. */
  end(trace: RequestTrace, complete: boolean): void {
    if (trace.finished) return;
    const aborted = !complete && !trace.cut;
    trace.finished = true;
    trace.aborted = aborted;
    // A reset while the request ran took it out of the count already.
    this.inFlight = Math.max(0, this.inFlight - 1);
    if (aborted) this.aborted += 1;
  }

  read(): SandboxStats {
    return {
      sandbox: true,
      requests: this.requests,
      requestsByRoute: Object.fromEntries(this.byRoute),
      inFlight: this.inFlight,
      abortedConnections: this.aborted,
      recent: this.recent.map((trace) => ({ ...trace })),
    };
  }

  reset(): void {
    this.requests = 0;
    this.inFlight = 0;
    this.aborted = 0;
    this.byRoute.clear();
    this.recent.length = 0;
  }
}
