import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalisePath, PATH_CHARS_MAX } from './paths.js';

describe('normalisePath', () => {
  it.each([
    ['/v1/models', '/v1/models', ''],
    ['/v1/models?limit=2&after=%2e%2e', '/v1/models', 'limit=2&after=%2e%2e'],
    [
      '/v1beta/models/gemini-2.5-pro%3AcountTokens',
      '/v1beta/models/gemini-2.5-pro:countTokens',
      '',
    ],
    ['/v1/%6frganization/users', '/v1/organization/users', ''],
    ['/v1/files/a%20b%c', null, null],
    ['/v1/files/a%20b', '/v1/files/a%20b', ''],
    ['/v1/files/a%3fb', '/v1/files/a%3Fb', ''],
    ['/v1/files/..a/a..', '/v1/files/..a/a..', ''],
    ['/v1/models/', '/v1/models/', ''],
    ['/', '/', ''],
  ])('reads %s', (raw, path, query) => {
    const read = normalisePath(raw);
    if (path === null) expect(read.ok).toBe(false);
    else expect(read).toEqual({ ok: true, path, query });
  });

  it.each([
    ['/v1/../organization', 'dot_segment'],
    ['/v1/./models', 'dot_segment'],
    ['/v1/models/..', 'dot_segment'],
    ['/..;/admin', 'dot_segment'],
    ['/v1/%2e%2e/organization', 'forbidden_encoding'],
    ['/v1/%2E/models', 'forbidden_encoding'],
    ['/v1/a%2fb', 'forbidden_encoding'],
    ['/v1/a%2Fb', 'forbidden_encoding'],
    ['/v1/a%5cb', 'forbidden_encoding'],
    ['/v1/%252e%252e/x', 'forbidden_encoding'],
    ['/v1/%25', 'forbidden_encoding'],
    ['/v1/%', 'forbidden_encoding'],
    ['/v1/%zz', 'forbidden_encoding'],
    ['/v1/%00', 'forbidden_encoding'],
    ['/v1/%0d%0a', 'forbidden_encoding'],
    ['/v1/%7f', 'forbidden_encoding'],
    ['/v1/%c0%ae%c0%ae/x', 'forbidden_encoding'],
    ['/v1/%ef%bc%8e', 'forbidden_encoding'],
    ['/v1//models', 'empty_segment'],
    ['//evil.example/v1/models', 'empty_segment'],
    ['/v1\\models', 'forbidden_character'],
    ['/v1/mod\u0000els', 'forbidden_character'],
    ['/v1/mod els', 'forbidden_character'],
    ['/v1/models#x', 'forbidden_character'],
    ['/v1/mod\u00e9ls', 'forbidden_character'],
    ['/v1/models?a=\r\n', 'forbidden_character'],
    ['http://evil.example/v1', 'not_absolute'],
    ['v1/models', 'not_absolute'],
    ['', 'not_absolute'],
    [`/${'a'.repeat(PATH_CHARS_MAX)}`, 'too_long'],
  ])('refuses %j: %s', (raw, reason) => {
    expect(normalisePath(raw)).toEqual({ ok: false, reason });
  });

  const piece = fc.constantFrom(
    ...[
      '/',
      '.',
      '..',
      '%',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '%25',
      '25',
      '2e',
      '2f',
      '\\',
      ';',
      'a',
      'v1',
    ],
    ...[
      '%252e',
      '%c0%ae',
      '%00',
      '\u0000',
      '%3a',
      '?',
      '%3b',
      '%20',
      'models',
      '\uff0e',
      '%ef%bc%8e',
    ],
  );
  const target = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((parts) => `/${parts.join('')}`),
    fc.string({ maxLength: 40 }).map((text) => `/${text}`),
  );

  it('accepts no path that holds a dot segment or a doubled slash after any number of decodings', () => {
    fc.assert(
      fc.property(target, (raw) => {
        const read = normalisePath(raw);
        if (!read.ok) return;
        let path = read.path;
        for (let round = 0; round < 8; round += 1) {
          const segments = path.split(/[/\\]/);
          expect(segments.slice(1, -1)).not.toContain('');
          for (const segment of segments) expect(['.', '..']).not.toContain(segment.split(';')[0]);
          path = decodeLeniently(path);
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it('is done after one pass', () => {
    fc.assert(
      fc.property(target, (raw) => {
        const read = normalisePath(raw);
        if (read.ok) expect(normalisePath(read.path)).toEqual({ ...read, query: '' });
      }),
      { numRuns: 2_000 },
    );
  });
});

/** As a careless server would: what can be decoded is, byte by byte. */
function decodeLeniently(path: string): string {
  return path
    .replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
    .normalize('NFKC');
}
