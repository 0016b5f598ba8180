import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decoded } from './decoded-error.js';

const ERROR = Buffer.from('{"error":{"code":"rate_limit_exceeded"}}');

describe('the body of a refused attempt', () => {
  it.each<[string, Buffer]>([
    ['identity', ERROR],
    ['gzip', zlib.gzipSync(ERROR)],
    ['GZIP', zlib.gzipSync(ERROR)],
    ['deflate', zlib.deflateSync(ERROR)],
    ['br', zlib.brotliCompressSync(ERROR)],
    ['zstd', zlib.zstdCompressSync(ERROR)],
  ])('is read whether it is encoded as %s or not', (encoding, body) => {
    expect(decoded(body, encoding)).toEqual(ERROR);
  });

  it('is not known where its encoding is none of these, broken, or hides far more than an error', () => {
    expect(decoded(ERROR, undefined)).toEqual(ERROR);
    expect(decoded(ERROR, 'compress')).toBeNull();
    expect(decoded(ERROR, 'gzip')).toBeNull();
    expect(decoded(zlib.gzipSync(Buffer.alloc(2 * 1024 * 1024)), 'gzip')).toBeNull();
  });
});
