import bcrypt from 'bcrypt';

const COST = 12;
/** bcrypt reads no further. */
const BYTES_MAX = 72;

/** True where bcrypt takes all of it into account. */
export function fitsPasswordHash(password: string): boolean {
  return Buffer.byteLength(password) <= BYTES_MAX;
}

export async function hashPassword(password: string): Promise<string> {
  return bcrypt.hash(password, COST);
}

let placeholder: Promise<string> | null = null;

/** Takes as long for an absent hash (nobody of that name) as for a wrong password. */
export async function verifyPassword(password: string, hash: string | null): Promise<boolean> {
  placeholder ??= hashPassword('nobody has this password');
  const matches = await bcrypt.compare(password, hash ?? (await placeholder));
  return matches && hash !== null;
}
