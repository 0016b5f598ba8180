import type { IncomingMessage } from 'node:http';
import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { BodyHold } from '../body/payload.js';
import { Refusal } from '../gateway-error.js';

/** Where an organization or project sets no other limit. */
export const BODY_BYTES_MAX = 32 * 1024 * 1024;

export interface ReadBody {
  /** As it came. */
  readonly raw: Buffer;
  /** Inflated, where it came compressed; otherwise the same. */
  readonly plain: Buffer;
}

type Inflate = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;

const INFLATERS: ReadonlyMap<string, Inflate> = new Map<string, Inflate>([
  ['gzip', promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip)],
  ['x-gzip', promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gunzip)],
  ['deflate', promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.inflate)],
  ['br', promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliDecompress)],
  ['zstd', promisify<Buffer, zlib.ZstdOptions, Buffer>(zlib.zstdDecompress)],
]);

/** Reads a whole body, inflated under the same limit; refuses what is over it, cut short or not UTF-8. */
export async function readBody(
  req: IncomingMessage,
  limit: number,
  hold: BodyHold,
): Promise<ReadBody | Refusal> {
  if (declaredLength(req) > limit) return new Refusal('body_too_large');
  const raw = await collect(req, limit, hold);
  if (raw instanceof Refusal) return raw;
  const encoding = req.headers['content-encoding']?.trim().toLowerCase();
  const plain =
    encoding === undefined || encoding === 'identity' ? raw : await inflate(raw, encoding, limit);
  if (plain instanceof Refusal) return plain;
  if (plain !== raw && !hold.grow(plain.length)) {
    return req.socket.destroyed ? new Refusal('body_incomplete') : new Refusal('overloaded', 1);
  }
  return isUtf8(plain) ? { raw, plain } : new Refusal('invalid_utf8');
}

/** NaN, which is over no limit, where the length is not declared. */
export function declaredLength(req: IncomingMessage): number {
  return Number(req.headers['content-length'] ?? Number.NaN);
}

function collect(req: IncomingMessage, limit: number, hold: BodyHold): Promise<Buffer | Refusal> {
  // The client has gone: no event would say so again.
  if (req.destroyed) return Promise.resolve(new Refusal('body_incomplete'));
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (result: Buffer | Refusal): void => {
      req.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut);
      resolve(result);
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      const refusal = overLimit(bytes > limit, hold.grow(chunk.length));
      if (refusal === null) return;
      req.pause();
      settle(refusal);
    };
    const onEnd = (): void =>
      settle(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes));
    const onCut = (): void => settle(new Refusal('body_incomplete'));
    req.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut);
  });
}

function overLimit(isOver: boolean, hasRoom: boolean): Refusal | null {
  if (isOver) return new Refusal('body_too_large');
  return hasRoom ? null : new Refusal('overloaded', 1);
}

async function inflate(raw: Buffer, encoding: string, limit: number): Promise<Buffer | Refusal> {
  const inflater = INFLATERS.get(encoding);
  if (inflater === undefined) return new Refusal('unsupported_encoding');
  try {
    return await inflater(raw, { maxOutputLength: limit });
  } catch (error) {
    const tooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE';
    return new Refusal(tooLarge ? 'body_too_large' : 'invalid_encoding');
  }
}
