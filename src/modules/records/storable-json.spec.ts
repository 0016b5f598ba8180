import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { storableJson } from './storable-json.js';

describe('JSON for Postgres', () => {
  it('loses only the characters that jsonb refuses', () => {
    const json = JSON.stringify({ tags: ['a\u0000b', '\ud800x', '😀'], 'k\u0000': 1 });
    expect(JSON.parse(storableJson(json))).toEqual({
      tags: ['a\ufffdb', '\ufffdx', '😀'],
      'k\ufffd': 1,
    });
  });

  it('is the same string where there is nothing to replace', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!text.includes('\u0000'));
        const json = JSON.stringify({ text });
        expect(JSON.parse(storableJson(json))).toEqual({ text });
      }),
    );
  });

  it('leaves a text that merely looks like an escape alone', () => {
    const json = JSON.stringify({ text: String.raw`\u0000` });
    expect(storableJson(json)).toBe(json);
  });
});
