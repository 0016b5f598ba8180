import { expect, test } from 'vitest';
import { z } from 'zod';
import { readBody } from './read-body.js';

const BODY = z.strictObject({ name: z.string(), rest: z.unknown().optional() });
const refusalOf = (body: unknown): unknown => {
  try {
    return readBody(BODY, body);
  } catch (error) {
    return (error as { getResponse(): unknown }).getResponse();
  }
};

test.each([
  [{ name: 'a\0b' }, 'name: takes no NUL character'],
  [{ name: 'a', rest: [{ deep: ['x', '\0'] }] }, 'rest: takes no NUL character'],
  [{ name: 1 }, 'name: Invalid input: expected string, received number'],
  [[], 'Invalid input: expected object, received array'],
])('%j is refused, and the field named', (body, message) => {
  expect(refusalOf(body)).toEqual({ error: { code: 'invalid_request', message } });
});

test('however deep a value is, it is read', () => {
  const deep = JSON.parse('['.repeat(200_000) + ']'.repeat(200_000)) as unknown;
  expect(readBody(BODY, { name: 'a', rest: deep }).name).toBe('a');
});
