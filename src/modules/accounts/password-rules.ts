import { fitsPasswordHash } from '../../platform/crypto/password.js';

const BYTES_MIN = 10;

/** What is wrong with a new password, in words for the person who chose it; null where nothing is. */
export function faultOfPassword(password: string, email: string): string | null {
  if (Buffer.byteLength(password) < BYTES_MIN) return `A password has at least ${BYTES_MIN} bytes.`;
  if (!fitsPasswordHash(password)) return 'A password has at most 72 bytes.';
  const [typed, address] = [password.trim().toLowerCase(), email.trim().toLowerCase()];
  const [name = ''] = address.split('@');
  if (typed === address || (name !== '' && typed.replace(/[\d\W_]+$/, '') === name)) {
    return 'A password is not your address.';
  }
  return null;
}
