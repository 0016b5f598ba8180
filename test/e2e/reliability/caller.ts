import { Agent, request, type Dispatcher } from 'undici';

export interface CallOptions {
  readonly streamed?: boolean;
  /** The `x-sandbox` list. */
  readonly directives?: string;
  readonly key?: string;
  /** Further members of the request's body. */
  readonly body?: Readonly<Record<string, unknown>>;
}

const STREAM_END = 'data: [DONE]\n\n';

/** One call as its client sees it. */
export class Exchange {
  requestId: string | null = null;
  status: number | null = null;
  text = '';
  latencyMs = 0;
  /** Every byte of the answer arrived. */
  whole = false;
  /** The code of the error with which the connection failed; null where it did not. */
  failure: string | null = null;
  ended = false;
  readonly #abort = new AbortController();
  /** Never rejects: what went wrong is in `failure`. */
  readonly end: Promise<void>;

  constructor(
    readonly streamed: boolean,
    send: (signal: AbortSignal) => Promise<Dispatcher.ResponseData>,
  ) {
    this.end = this.#follow(send(this.#abort.signal)).finally(() => {
      this.ended = true;
    });
  }

  /** Events that arrived so far, the end mark included. */
  get events(): number {
    return this.text.split('\n\n').length - 1;
  }

  /** The code of Shunt's own error. */
  get errorCode(): string | null {
    const parsed = JSON.parse(this.text) as { error?: { code?: string } };
    return parsed.error?.code ?? null;
  }

  abort(): void {
    this.#abort.abort();
  }

  async #follow(sent: Promise<Dispatcher.ResponseData>): Promise<void> {
    const beganAt = performance.now();
    try {
      const { statusCode, headers, body } = await sent;
      this.requestId = (headers['x-shunt-request-id'] as string | undefined) ?? null;
      this.status = statusCode;
      body.setEncoding('utf8');
      for await (const chunk of body) this.text += chunk as string;
      this.whole = !this.streamed || statusCode !== 200 || this.text.endsWith(STREAM_END);
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      this.failure = code ?? name;
    }
    this.latencyMs = performance.now() - beganAt;
  }
}

/** An OpenAI client that hides nothing: no retries, no time limits. */
export class Caller {
  /** Every call so far. */
  readonly sent: Exchange[] = [];
  readonly #agent: Agent;

  constructor(
    private readonly origin: string,
    private readonly key: string,
    connections = 64,
  ) {
    this.#agent = new Agent({ connections, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  }

  call(options: CallOptions = {}): Exchange {
    const { streamed = false, directives = '', key = this.key } = options;
    const body = JSON.stringify({
      model: 'gpt-5.4-mini',
      messages: [{ role: 'user', content: 'Say something short.' }],
      ...(streamed ? { stream: true } : {}),
      ...options.body,
    });
    const exchange = new Exchange(streamed, (signal) =>
      request(`${this.origin}/openai/v1/chat/completions`, {
        method: 'POST',
        dispatcher: this.#agent,
        signal,
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          ...(directives === '' ? {} : { 'x-sandbox': directives }),
        },
        body,
      }),
    );
    this.sent.push(exchange);
    return exchange;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
