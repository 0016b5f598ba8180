import { expect, test } from 'vitest';
import { isUsableKey, previewKey } from './provider-key.service.js';

test('a preview shows the kind and the last four characters', () => {
  expect(previewKey('sk-proj-abcdefghijklmnop1234')).toBe('sk-...1234');
  expect(previewKey('gsk_abcdefghijklmnopqrst5678')).toBe('gsk_...5678');
  expect(previewKey('AIzaSyabcdefghijklmnopqr9012')).toBe('...9012');
});

test('a short key is masked whole', () => {
  expect(previewKey('sk-short')).toBe('...');
});

test('what cannot travel in a header is not a key', () => {
  for (const wrong of ['', 'a b', 'a\nb', 'sch\u00fcssel', 'x'.repeat(5_000)]) {
    expect(isUsableKey(wrong)).toBe(false);
  }
});
