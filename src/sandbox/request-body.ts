import type { IncomingMessage } from 'node:http';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

/** What a request may bring, compressed or not. */
export const BODY_BYTES_MAX = 64 * 1_048_576;

/**
 * The body as it arrived; null if there is more of it than the sandbox takes (the rest is read and dropped, so that
 * the caller gets an answer). Rejects when the caller goes away before its end.
 */
export function readBody(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > BODY_BYTES_MAX) parts.length = 0;
      else parts.push(part);
    });
    request.on('end', () => resolve(bytes > BODY_BYTES_MAX ? null : Buffer.concat(parts, bytes)));
    request.on('error', reject);
    request.on('close', () => {
      if (!request.complete) reject(new Error('The request ended early.'));
    });
  });
}

/** The body inflated as `content-encoding` says; null where that cannot be done within the bound. */
export function inflate(body: Buffer, encoding: string | undefined): Buffer | null {
  const options = { maxOutputLength: BODY_BYTES_MAX };
  try {
    switch (encoding?.toLowerCase() ?? 'identity') {
      case 'identity':
        return body;
      case 'gzip':
        return gunzipSync(body, options);
      case 'deflate':
        return inflateSync(body, options);
      case 'br':
        return brotliDecompressSync(body, options);
      case 'zstd':
        return zstdDecompressSync(body, options);
      default:
        return null;
    }
  } catch {
    return null;
  }
}
