import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NESTING_MAX, parseSpan, scanObject } from './json-scan.js';

const scan = (text: string) => scanObject(Buffer.from(text));

describe('scanning a JSON object', () => {
  it('accepts what JSON.parse accepts as an object, and finds every member and value', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(3), (value, indent) => {
        const bytes = Buffer.from(JSON.stringify(value, null, indent));
        const found = scanObject(bytes);
        if (!found.ok) throw new Error(`${found.reason}: ${bytes.toString()}`);
        expect(found.members.map(({ key }) => key)).toEqual(Object.keys(value));
        for (const { key, value: span } of found.members) {
          expect(parseSpan(bytes, span)).toEqual(JSON.parse(JSON.stringify(value[key])));
        }
      }),
    );
  });

  it('accepts no object that JSON.parse refuses, strings apart', () => {
    const valid = '{"a":[1,{"b":null},"c"],"d":-1.5e3,"e":{},"f":[true,false]}';
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.constantFrom(...'{}[]:,"x1 '), (at, byte) => {
        const broken = valid.slice(0, at) + byte + valid.slice(at + 1);
        expect(scan(broken).ok).toBe(isObject(broken));
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes for a number or a word what JSON.parse does', () => {
    const unit = fc.constantFrom(
      '0',
      '1',
      '90',
      '.',
      '-',
      '+',
      'e',
      'E',
      'true',
      'null',
      'f',
      '/',
      ':',
    );
    fc.assert(
      fc.property(fc.array(unit, { minLength: 1, maxLength: 6 }), (units) => {
        for (const [open, close] of [
          ['{"a":', '}'],
          ['{"a":[', ']}'],
          ['{"a":[1, ', ' ,2]}'],
        ]) {
          const text = open! + units.join('') + close!;
          expect(scan(text).ok).toBe(isObject(text));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes no number for one that is longer than anybody writes', () => {
    const text = (digits: number) => `{"a":[${'1'.repeat(digits)}]}`;
    expect(scan(text(400)).ok).toBe(true);
    for (const digits of [401, 1_000_000]) {
      expect(scan(text(digits))).toEqual({ ok: false, reason: 'malformed' });
    }
  });

  it('refuses every proper beginning of an object', () => {
    const valid = '{"model":"m","messages":[{"role":"user","content":"a \\" b \\\\"}],"n":1}';
    for (let end = 0; end < valid.length; end++) expect(scan(valid.slice(0, end)).ok).toBe(false);
    expect(scan(valid).ok).toBe(true);
  });

  it('finds both of two members with one key, however the key is spelt', () => {
    const found = scan('{"model":"a","mod\\u0065l":"b"}');
    expect(found.ok && found.members.map(({ key }) => key)).toEqual(['model', 'model']);
  });

  it('is not fooled by quotes, brackets and keys inside strings', () => {
    const text = JSON.stringify({
      a: '{"model":"x"}\\"]}',
      b: '\\',
      model: 'y',
      c: '"'.repeat(500),
    });
    const found = scan(text);
    expect(found.ok && found.members.map(({ key }) => key)).toEqual(['a', 'b', 'model', 'c']);
  });

  it('bounds the nesting it follows and survives 100,000 levels', () => {
    const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(scan(nested(NESTING_MAX)).ok).toBe(true);
    expect(scan(nested(NESTING_MAX + 1))).toEqual({ ok: false, reason: 'too_deep' });
    expect(scan(nested(100_000))).toEqual({ ok: false, reason: 'too_deep' });
  });

  it('takes time in proportion to the length, also for runs of backslashes and quotes', () => {
    const hostile = `{"a":"${'\\\\\\"'.repeat(500_000)}"}`;
    const began = performance.now();
    expect(scan(hostile).ok).toBe(true);
    expect(performance.now() - began).toBeLessThan(2_000);
  });

  it.each(['', ' ', '[]', '"a"', 'null', '12', 'not json', '\u{feff}{}'])(
    'says of %j that it is no object',
    (text) => {
      expect(scan(text)).toEqual({ ok: false, reason: 'not_an_object' });
    },
  );

  it.each([
    '{}x',
    '{"a":1,}',
    '{"a" 1}',
    '{a:1}',
    '{"a":tru}',
    '{"a":[1 2]}',
    '{"a":{"b"}}',
    '{"a":01}',
    '{,}',
  ])('says of %j that it is malformed', (text) => {
    expect(scan(text)).toEqual({ ok: false, reason: 'malformed' });
  });
});

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
