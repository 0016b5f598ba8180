import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

export interface EncryptionKeys {
  /** 32 bytes each. */
  readonly current: Buffer;
  /** Still opens what it sealed, until everything is sealed anew (`shunt rekey`). */
  readonly previous: Buffer | null;
}

/** The sealed value cannot be opened; the message says why, and holds nothing of it. */
export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

const FORMAT = 1;
const KEY_ID_BYTES = 8;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;
const OVERHEAD_BYTES = HEADER_BYTES + IV_BYTES + TAG_BYTES;

/**
 * AES-256-GCM envelopes: format (1 byte), key id (8), iv (12), ciphertext, tag (16). The header and the caller's
 * associated data are authenticated: a value moved to another row does not open there.
 */
export class SecretBox {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #current: Buffer;
  /** Hex; names the key without telling anything about it. */
  readonly currentKeyId: string;

  constructor(keys: EncryptionKeys) {
    this.#current = keys.current;
    this.currentKeyId = idOf(keys.current);
    const all = keys.previous ? [keys.previous, keys.current] : [keys.current];
    this.#keys = new Map(all.map((key) => [idOf(key), key]));
  }

  seal(plaintext: Buffer | string, aad: string): Buffer {
    const header = Buffer.concat([Buffer.from([FORMAT]), Buffer.from(this.currentKeyId, 'hex')]);
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#current, iv);
    cipher.setAAD(Buffer.concat([header, Buffer.from(aad)]));
    const body = [cipher.update(plaintext as string, 'utf8'), cipher.final()];
    return Buffer.concat([header, iv, ...body, cipher.getAuthTag()]);
  }

  /** Throws a `SecretBoxError` for an unknown key, other associated data, or anything that was altered. */
  open(sealed: Buffer, aad: string): Buffer {
    if (sealed.length < OVERHEAD_BYTES || sealed[0] !== FORMAT) {
      throw new SecretBoxError('Not a sealed value of a known format');
    }
    const keyId = keyIdOf(sealed);
    const key = this.#keys.get(keyId);
    if (!key) {
      throw new SecretBoxError(
        `Sealed with the encryption key ${keyId}, which is neither SHUNT_ENCRYPTION_KEY nor SHUNT_ENCRYPTION_KEY_PREVIOUS`,
      );
    }
    const iv = sealed.subarray(HEADER_BYTES, HEADER_BYTES + IV_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.concat([sealed.subarray(0, HEADER_BYTES), Buffer.from(aad)]));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      const body = sealed.subarray(HEADER_BYTES + IV_BYTES, -TAG_BYTES);
      return Buffer.concat([decipher.update(body), decipher.final()]);
    } catch {
      throw new SecretBoxError('The sealed value was altered, or belongs to another place');
    }
  }

  isCurrent(sealed: Buffer): boolean {
    return keyIdOf(sealed) === this.currentKeyId;
  }

  /** The same value under the current key. */
  reseal(sealed: Buffer, aad: string): Buffer {
    return this.seal(this.open(sealed, aad), aad);
  }
}

/** The id of the key that sealed the value. */
export function keyIdOf(sealed: Buffer): string {
  return sealed.toString('hex', 1, HEADER_BYTES);
}

function idOf(key: Buffer): string {
  const digest = createHash('sha256').update('shunt encryption key id').update(key).digest();
  return digest.toString('hex', 0, KEY_ID_BYTES);
}
