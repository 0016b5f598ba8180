import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { constants, createGzip, gzipSync, type Gzip } from 'node:zlib';
import type { Directives } from './directives.js';
import type { Answer, JsonAnswer, StreamAnswer } from './exchange.js';
import type { RequestTrace } from './stats.js';

// Not UTF-8, not JSON, not a line of SSE.
const GARBAGE = Buffer.from('fffe00c3289f92ed00a0f7bfbfbf00', 'hex');
const REDIRECT_TARGET = '/__sandbox/redirected';

/** Writes the answer as the directives say; resolves when it is written, or the caller has gone. */
export async function deliver(
  response: ServerResponse,
  answer: Answer,
  directives: Directives,
  trace: RequestTrace,
): Promise<void> {
  if (directives.latencyMs !== undefined && !(await pause(response, directives.latencyMs))) return;
  if (directives.stall === 'before-headers') return;
  if (directives.close === 'before-headers') {
    cut(response, trace);
    return;
  }
  const headers: OutgoingHttpHeaders = { ...answer.headers };
  if (directives.setCookie) headers['set-cookie'] = 'sandbox=1; Path=/; HttpOnly';
  if (directives.redirect) {
    trace.status = 307;
    response.writeHead(307, { ...headers, location: REDIRECT_TARGET, 'content-length': 0 }).end();
    return;
  }
  trace.status = answer.kind === 'json' ? answer.status : 200;
  if (answer.kind === 'json') await deliverJson(response, answer, headers, directives, trace);
  else await deliverStream(response, answer, headers, directives, trace);
}

async function deliverJson(
  response: ServerResponse,
  answer: JsonAnswer,
  headers: OutgoingHttpHeaders,
  directives: Directives,
  trace: RequestTrace,
): Promise<void> {
  let body: Buffer = Buffer.from(JSON.stringify(answer.body));
  if (directives.malformed) body = body.subarray(0, Math.ceil(body.length / 2));
  if (directives.garbage) body = GARBAGE;
  if (directives.gzip) {
    body = gzipSync(body);
    headers['content-encoding'] = 'gzip';
  }
  headers['content-length'] = body.length;
  headers['content-type'] ??= 'application/json';
  response.writeHead(answer.status, headers);
  const half = body.subarray(0, Math.floor(body.length / 2));
  if (directives.close === 'mid-stream') {
    response.write(half, () => cut(response, trace));
  } else if (directives.stall === 'mid-stream') {
    response.write(half);
  } else if (directives.split) {
    if (await writeByteByByte(response, body)) response.end();
  } else {
    response.end(body);
  }
}

async function deliverStream(
  response: ServerResponse,
  answer: StreamAnswer,
  headers: OutgoingHttpHeaders,
  directives: Directives,
  trace: RequestTrace,
): Promise<void> {
  if (directives.gzip) headers['content-encoding'] = 'gzip';
  response.writeHead(200, headers);
  const write = writerOf(response, directives);
  const half = Math.floor(answer.frames.length / 2);
  for (const [at, frame] of answer.frames.entries()) {
    if (at === half && (await disturb(response, answer, directives, write, trace)) === 'over')
      return;
    if (at > 0 && directives.chunkDelayMs !== undefined) {
      if (!(await pause(response, directives.chunkDelayMs))) return;
    }
    if (!(await write.frame(Buffer.from(frame)))) return;
    trace.framesSent += 1;
  }
  await write.end();
}

/** What the directives do to a stream when half of it has been sent; `over` if nothing may follow. */
async function disturb(
  response: ServerResponse,
  answer: StreamAnswer,
  directives: Directives,
  write: FrameWriter,
  trace: RequestTrace,
): Promise<'over' | 'goes on'> {
  if (directives.close === 'mid-stream') {
    // What was written leaves the process before the connection goes, so that the caller has half a stream.
    await write.frame(Buffer.alloc(0));
    await nextTurn();
    cut(response, trace);
    return 'over';
  }
  if (directives.stall === 'mid-stream') return 'over';
  if (directives.garbage) await write.frame(Buffer.concat([GARBAGE, Buffer.from('\n\n')]));
  if (directives.malformed) await write.frame(Buffer.from('data: {"broken": \n\n'));
  if (!directives.streamError) return 'goes on';
  await write.frame(Buffer.from(answer.errorFrame));
  await write.end();
  return 'over';
}

function cut(response: ServerResponse, trace: RequestTrace): void {
  trace.cut = true;
  response.destroy();
}

interface FrameWriter {
  /** False once the caller has gone. */
  readonly frame: (bytes: Buffer) => Promise<boolean>;
  readonly end: () => Promise<void>;
}

function writerOf(response: ServerResponse, directives: Directives): FrameWriter {
  const send = directives.split ? writeByteByByte : writeWhole;
  if (!directives.gzip) {
    return {
      frame: (bytes) => send(response, bytes),
      end: async () => {
        response.end();
      },
    };
  }
  const gzip = createGzip();
  return {
    frame: async (bytes) => send(response, await compressed(gzip, bytes)),
    end: async () => {
      gzip.end();
      for await (const rest of gzip) await send(response, rest as Buffer);
      response.end();
    },
  };
}

// Flushed after every event: a compressed stream has to arrive event by event too.
async function compressed(gzip: Gzip, bytes: Buffer): Promise<Buffer> {
  gzip.write(bytes);
  await new Promise<void>((resolve) => gzip.flush(constants.Z_SYNC_FLUSH, resolve));
  return (gzip.read() as Buffer | null) ?? Buffer.alloc(0);
}

async function writeWhole(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  if (bytes.length === 0 || response.write(bytes)) return true;
  return drained(response);
}

async function writeByteByByte(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  for (let at = 0; at < bytes.length; at += 1) {
    if (!(await writeWhole(response, bytes.subarray(at, at + 1)))) return false;
    // Bytes written in one turn of the event loop would leave in one packet.
    await nextTurn();
  }
  return true;
}

function drained(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off('drain', settle);
      response.off('close', settle);
      resolve(!response.destroyed);
    };
    response.on('drain', settle);
    response.on('close', settle);
  });
}

/** Waits; false if the caller went away meanwhile. */
async function pause(response: ServerResponse, ms: number): Promise<boolean> {
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  response.once('close', onClose);
  try {
    await sleep(ms, undefined, { signal: gone.signal });
    return true;
  } catch {
    return false;
  } finally {
    response.off('close', onClose);
  }
}
