import { createHmac, type KeyObject } from 'node:crypto';

/** 128 bits: no two of an organization's sessions meet by chance. */
const HASH_BYTES = 16;

/** What is hashed; keeps hashes of one purpose from matching those of another. */
export type HashPurpose = 'session' | 'class';

/** HMAC-SHA256 of `purpose`, a NUL and the value, cut to 128 bits, base64url: 22 characters. */
export function keyedHash(key: KeyObject, purpose: HashPurpose, value: string): string {
  return createHmac('sha256', key)
    .update(`${purpose}\0${value}`)
    .digest()
    .toString('base64url', 0, HASH_BYTES);
}
