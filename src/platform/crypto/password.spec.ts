import { expect, it } from 'vitest';
import { hashPassword, verifyPassword } from './password.js';

it('is hashed at a cost that makes guessing slow, and known again', async () => {
  const hash = await hashPassword('a password of somebody');
  expect(hash).toMatch(/^\$2b\$12\$/);
  expect(await verifyPassword('a password of somebody', hash)).toBe(true);
});
