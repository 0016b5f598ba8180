import { hash, randomBytes } from 'node:crypto';

const PREFIX = 'shunt_';
const SECRET_BYTES = 32;
/** A key that an installation fixes itself (SHUNT_BOOTSTRAP_PROJECT_KEY) may have any form. */
export const TOKEN_LENGTH_MIN = 16;
export const TOKEN_LENGTH_MAX = 512;

/** 256 random bits behind a prefix that scanners and people recognise. */
export function generateToken(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
}

/** Long enough, and of characters that survive a header and a shell: visible ASCII without quotes or backslash. */
export function isUsableToken(token: string): boolean {
  if (token.length < TOKEN_LENGTH_MIN || token.length > TOKEN_LENGTH_MAX) return false;
  return /^[!#-&(-[\]-_a-~]+$/.test(token);
}

/** Keys are random, so a plain hash keeps them: there is nothing to guess. */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}

/** Enough to recognise a key by, too little to use it. */
export function previewToken(token: string): string {
  return token.startsWith(PREFIX) ? `${PREFIX}...${token.slice(-4)}` : `...${token.slice(-4)}`;
}
