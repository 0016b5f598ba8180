import http from 'node:http';

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Goes away once the answer has begun, or as soon as everything was sent. */
  readonly abandon?: 'after the first bytes' | 'at once';
}

export interface Answered {
  /** 0 where the connection ended without an answer. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  /** Of the call, where the answer names it. */
  readonly requestId: string | null;
}

const ANSWER_MS_MAX = 8_000;

/** One call, whatever becomes of it: never rejects, and never waits for long. */
export function call(origin: string, sent: Sent): Promise<Answered> {
  const { method = 'POST', path, headers = {}, body, abandon } = sent;
  return new Promise((resolve) => {
    const { hostname, port } = new URL(origin);
    // Not as a URL, which would be normalised on its way.
    const request = http.request({ hostname, port, path, method, headers, agent: false });
    const none = { status: 0, headers: {}, body: '', requestId: null };
    request.setTimeout(ANSWER_MS_MAX, () => request.destroy());
    request.once('error', () => resolve(none));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      const settle = (): void =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          requestId: (response.headers['x-shunt-request-id'] as string | undefined) ?? null,
        });
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (abandon === 'after the first bytes') request.destroy();
      });
      response.once('error', settle);
      response.once('close', settle);
    });
    request.end(body, () => {
      if (abandon === 'at once') request.destroy();
    });
  });
}
