import { createHash, type Hash } from 'node:crypto';
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const BLOCK_BYTES = 65_536;
const BLOCKS = 3_200;
const END = 'data: [DONE]\n\n';
const USAGE = '{"prompt_tokens":10,"completion_tokens":1000,"total_tokens":1010}';

/** Which answer: streams with and without usage, as `stream_options` asks for it, or one JSON body. */
export type BigAnswer = 'stream with usage' | 'stream' | 'json';

/** A provider whose answers are 200 MB long, made as they are taken. */
export interface BigUpstream {
  readonly baseUrl: string;
  /** Bytes of the latest answer that were handed to its socket. */
  sent(): number;
  close(): Promise<void>;
}

export async function startBigUpstream(): Promise<BigUpstream> {
  let sent = 0;
  const server = http.createServer((req, res) => {
    let body = '';
    req.on('data', (chunk: Buffer) => (body += chunk.toString()));
    req.on('end', () => {
      sent = 0;
      const asked = JSON.parse(body) as {
        stream?: boolean;
        stream_options?: { include_usage?: boolean };
      };
      const withUsage = asked.stream_options?.include_usage === true;
      const kind = !asked.stream ? 'json' : withUsage ? 'stream with usage' : 'stream';
      const type = kind === 'json' ? 'application/json' : 'text/event-stream';
      res.writeHead(200, { 'content-type': type });
      void deliver(res, kind, (bytes) => (sent += bytes));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    sent: () => sent,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Length and digest of an answer as its client must get it. */
export function expectedOf(kind: BigAnswer): { bytes: number; sha256: string } {
  const hash: Hash = createHash('sha256');
  let bytes = 0;
  for (const part of partsOf(kind)) {
    hash.update(part);
    bytes += part.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function deliver(
  res: ServerResponse,
  kind: BigAnswer,
  note: (bytes: number) => void,
): Promise<void> {
  const closed = new Promise((resolve) => {
    res.once('close', resolve);
  });
  for (const part of partsOf(kind)) {
    if (res.destroyed) return;
    note(part.length);
    if (res.write(part)) continue;
    const drained = new Promise((resolve) => {
      res.once('drain', resolve);
    });
    await Promise.race([drained, closed]);
  }
  res.end();
}

function* partsOf(kind: BigAnswer): Generator<Buffer> {
  const [open, close] = kind === 'json' ? ['{"choices":[', `{}],"usage":${USAGE}}`] : ['', ''];
  yield Buffer.from(open);
  for (let n = 0; n < BLOCKS; n += 1) {
    // No two blocks are alike: one in the wrong place would show.
    const text = `${n} `.repeat(BLOCK_BYTES / (String(n).length + 1)).slice(0, BLOCK_BYTES);
    if (kind === 'json') yield Buffer.from(`{"index":${n},"message":{"content":"${text}"}},`);
    else yield eventOf(text, kind === 'stream with usage');
  }
  if (kind === 'stream with usage') {
    yield Buffer.from(`data: {"id":"c","choices":[],"usage":${USAGE}}\n\n`);
  }
  yield Buffer.from(kind === 'json' ? close : END);
}

function eventOf(text: string, withUsage: boolean): Buffer {
  const choices = `[{"index":0,"delta":{"content":"${text}"},"finish_reason":null}]`;
  const usage = withUsage ? ',"usage":null' : '';
  return Buffer.from(`data: {"id":"c","choices":${choices}${usage}}\n\n`);
}
