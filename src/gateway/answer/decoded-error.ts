import zlib from 'node:zlib';

/** What expands further is no error that anybody wrote. */
const DECODED_BYTES_MAX = 1024 * 1024;
const LIMIT = { maxOutputLength: DECODED_BYTES_MAX };

/** By the names of content encodings, in lower case. */
const DECODERS: ReadonlyMap<string, (bytes: Buffer) => Buffer> = new Map([
  ['identity', (bytes: Buffer) => bytes],
  ['gzip', (bytes: Buffer) => zlib.gunzipSync(bytes, LIMIT)],
  ['x-gzip', (bytes: Buffer) => zlib.gunzipSync(bytes, LIMIT)],
  ['deflate', (bytes: Buffer) => zlib.inflateSync(bytes, LIMIT)],
  ['br', (bytes: Buffer) => zlib.brotliDecompressSync(bytes, LIMIT)],
  ['zstd', (bytes: Buffer) => zlib.zstdDecompressSync(bytes, LIMIT)],
]);

/** An error's short body as it was before its encoding; null where that cannot be told. */
export function decoded(body: Buffer, header: string | string[] | undefined): Buffer | null {
  const encoding = (Array.isArray(header) ? header.join(',') : header) ?? 'identity';
  try {
    return DECODERS.get(encoding.trim().toLowerCase())?.(body) ?? null;
  } catch {
    return null;
  }
}
