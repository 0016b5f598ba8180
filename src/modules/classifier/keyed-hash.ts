import { hash, type KeyObject } from 'node:crypto';

/** 128 bits: no two of an organization's sessions meet by chance. Six bits to a character. */
const HASH_CHARS = 22;

/** What is hashed; keeps hashes of one purpose from matching those of another. */
export type HashPurpose = 'session' | 'class' | 'control' | 'prefix';

/** The keys in the form that is hashed, for as long as their principals are in memory. */
const prefixes = new WeakMap<KeyObject, string>();

/**
 * SHA-256 of the key (base64, 44 characters), the purpose, a NUL and the value, cut to 128 bits, base64url. Keyed by
 * prefix, which one native call does where HMAC takes four: that a longer value could be hashed from a shorter one's
 * hash (length extension) needs all 256 bits, of which half are never told.
 */
export function keyedHash(key: KeyObject, purpose: HashPurpose, value: string): string {
  return hash('sha256', `${prefixOf(key)}${purpose}\0${value}`, 'base64url').slice(0, HASH_CHARS);
}

function prefixOf(key: KeyObject): string {
  const known = prefixes.get(key);
  if (known !== undefined) return known;
  const prefix = key.export().toString('base64');
  prefixes.set(key, prefix);
  return prefix;
}
