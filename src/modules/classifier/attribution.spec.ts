import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attributionOf, CUSTOMER_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX } from './attribution.js';

describe('attributionOf', () => {
  it('reads customer and tags under every name they are known by', () => {
    expect(attributionOf({ 'x-shunt-customer-id': ' acme ', 'helicone-user-id': 'other' })).toEqual(
      {
        customerId: 'acme',
        tags: [],
      },
    );
    expect(attributionOf({ 'helicone-user-id': 'h' }).customerId).toBe('h');
    expect(attributionOf({ 'x-litellm-customer-id': 'l' }).customerId).toBe('l');
    const portkey = { 'x-portkey-metadata': '{"_user":"p","env":"prod","n":1,"deep":{"a":1}}' };
    expect(attributionOf(portkey)).toEqual({ customerId: 'p', tags: ['env:prod', 'n:1'] });
    expect(attributionOf({ 'x-shunt-tags': 'a, b,,a', 'x-litellm-tags': 'c' }).tags).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  it('says nothing where nothing, or nonsense, was said', () => {
    for (const json of [
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '{"_user":5}',
      `{"a":"${'x'.repeat(5_000)}"}`,
    ]) {
      expect(attributionOf({ 'x-portkey-metadata': json })).toEqual({ customerId: null, tags: [] });
    }
  });

  it('keeps every bound, and no control character, whatever it is sent', () => {
    const text = fc.string({ unit: 'binary', maxLength: 300 });
    fc.assert(
      fc.property(
        text,
        fc.array(text, { maxLength: 40 }),
        fc.dictionary(text, text),
        (id, tags, meta) => {
          const found = attributionOf({
            'x-shunt-customer-id': id,
            'x-shunt-tags': tags.join(','),
            'x-portkey-metadata': JSON.stringify(meta),
          });
          expect((found.customerId ?? '').length).toBeLessThanOrEqual(CUSTOMER_CHARS_MAX);
          expect(found.tags.length).toBeLessThanOrEqual(TAGS_MAX);
          for (const tag of found.tags) expect(tag.length).toBeLessThanOrEqual(TAG_CHARS_MAX);
          for (const kept of [found.customerId ?? '', ...found.tags]) {
            expect(kept).not.toMatch(/\p{Cc}/u);
            expect(kept.isWellFormed()).toBe(true);
          }
        },
      ),
    );
  });
});
