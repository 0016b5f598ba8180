import { vi } from 'vitest';

/** The least that bcrypt takes: a hash in a millisecond, where the product's takes a quarter of a second of a core. */
const COST = 4;

/**
 * In the tests' own process alone; `src/platform/crypto/password.spec.ts` and the specs that run the built product
 * have the cost that customers have. Nothing else about a password is different.
 */
vi.mock('bcrypt', async (original) => {
  const { default: bcrypt } = await original<{ default: typeof import('bcrypt') }>();
  return { default: { ...bcrypt, hash: (password: string) => bcrypt.hash(password, COST) } };
});
