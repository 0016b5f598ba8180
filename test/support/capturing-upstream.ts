import http, { type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Captured {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export type Answer = (res: ServerResponse, captured: Captured) => void;

/** An upstream that keeps what it was sent, byte for byte, and answers as a test tells it to. */
export interface CapturingUpstream {
  readonly origin: string;
  readonly captured: Captured[];
  /** Resolves when a request's connection closed before its answer ended. */
  aborted(): Promise<void>;
  answerWith(answer: Answer): void;
  close(): Promise<void>;
}

export async function startCapturingUpstream(): Promise<CapturingUpstream> {
  const captured: Captured[] = [];
  const waiting: (() => void)[] = [];
  let aborts = 0;
  let answer: Answer = (res) => json(res, { id: 'x', model: 'gpt-5.4', choices: [] });
  const server = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    res.once('close', () => {
      if (res.writableFinished) return;
      aborts++;
      waiting.shift()?.();
    });
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = req;
      const seen = { method, url, headers, rawHeaders, body: Buffer.concat(chunks) };
      captured.push(seen);
      answer(res, seen);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    captured,
    aborted: () =>
      aborts > 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            waiting.push(resolve);
          }),
    answerWith(next) {
      answer = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function json(res: ServerResponse, value: unknown, status = 200): void {
  const body = JSON.stringify(value);
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}
