import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { SecretBox, SecretBoxError, keyIdOf } from './secret-box.js';

const [first, second] = [randomBytes(32), randomBytes(32)];
const box = new SecretBox({ current: first, previous: null });

test('what was sealed opens with the same associated data', () => {
  expect(box.open(box.seal('sk-secret', 'org:openai'), 'org:openai').toString()).toBe('sk-secret');
  const bytes = randomBytes(32);
  expect(box.open(box.seal(bytes, 'a'), 'a')).toEqual(bytes);
});

test('with other associated data it does not open', () => {
  const sealed = box.seal('sk-secret', 'org-1:openai');
  expect(() => box.open(sealed, 'org-2:openai')).toThrow(SecretBoxError);
});

test('the same value is sealed differently each time', () => {
  expect(box.seal('x', 'a')).not.toEqual(box.seal('x', 'a'));
});

test('every altered byte, and every cut, is noticed', () => {
  const sealed = box.seal('sk-secret', 'a');
  for (let i = 0; i < sealed.length; i += 1) {
    const altered = Buffer.from(sealed);
    altered[i] = (altered[i] ?? 0) ^ 1;
    expect(() => box.open(altered, 'a')).toThrow(SecretBoxError);
    expect(() => box.open(sealed.subarray(0, i), 'a')).toThrow(SecretBoxError);
  }
});

test('the previous key still opens, and resealing moves a value to the current key', () => {
  const rotated = new SecretBox({ current: second, previous: first });
  const old = box.seal('sk-secret', 'a');
  expect(rotated.isCurrent(old)).toBe(false);
  const resealed = rotated.reseal(old, 'a');
  expect(rotated.isCurrent(resealed)).toBe(true);
  expect(keyIdOf(resealed)).toBe(rotated.currentKeyId);
  expect(new SecretBox({ current: second, previous: null }).open(resealed, 'a').toString()).toBe(
    'sk-secret',
  );
});

test('a value under a key that is no longer configured says which variable is missing', () => {
  const other = new SecretBox({ current: second, previous: null });
  expect(() => other.open(box.seal('x', 'a'), 'a')).toThrow(/SHUNT_ENCRYPTION_KEY_PREVIOUS/);
});
