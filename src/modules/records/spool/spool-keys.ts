import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';

const WRAP_INFO = 'shunt spool wrap v1';
const ID_INFO = 'shunt spool key id v1';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export const KEY_ID_BYTES = 8;
export const WRAPPED_KEY_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

interface WrappingKey {
  readonly id: Buffer;
  readonly key: KeyObject;
}

/** A file's own random key, and the form in which the file's header carries it. */
export interface DataKey {
  /** Raw, and not a `KeyObject`: a cipher is made from it in half the time, and one is made for every frame. */
  readonly key: Buffer;
  readonly keyId: Buffer;
  readonly wrapped: Buffer;
}

/**
 * Wraps the random key of each spool file (AES-256-GCM) under a key derived with HKDF-SHA256 from the
 * process's encryption key. Files under the previous encryption key stay readable.
 */
export class SpoolKeys {
  readonly #current: WrappingKey;
  readonly #known: readonly WrappingKey[];

  constructor(keys: { readonly current: Buffer; readonly previous: Buffer | null }) {
    this.#current = derive(keys.current);
    this.#known = keys.previous === null ? [this.#current] : [this.#current, derive(keys.previous)];
  }

  /** `context` is bound to the wrapped key: the rest of the header that carries it. */
  create(context: Buffer): DataKey {
    const secret = randomBytes(KEY_BYTES);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#current.key, nonce);
    cipher.setAAD(Buffer.concat([context, this.#current.id]));
    const sealed = Buffer.concat([cipher.update(secret), cipher.final()]);
    return {
      key: secret,
      keyId: this.#current.id,
      wrapped: Buffer.concat([nonce, sealed, cipher.getAuthTag()]),
    };
  }

  /** Null where no known key opens it. */
  open(context: Buffer, keyId: Buffer, wrapped: Buffer): Buffer | null {
    const wrapping = this.#known.find((known) => known.id.equals(keyId));
    if (wrapping === undefined) return null;
    const nonce = wrapped.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', wrapping.key, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.concat([context, keyId]));
    decipher.setAuthTag(wrapped.subarray(NONCE_BYTES + KEY_BYTES));
    try {
      const sealed = wrapped.subarray(NONCE_BYTES, NONCE_BYTES + KEY_BYTES);
      return Buffer.concat([decipher.update(sealed), decipher.final()]);
    } catch {
      // The tag does not match: a damaged header is as unreadable as an unknown key.
      return null;
    }
  }
}

function derive(secret: Buffer): WrappingKey {
  const expand = (info: string, length: number): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, length));
  return { id: expand(ID_INFO, KEY_ID_BYTES), key: createSecretKey(expand(WRAP_INFO, KEY_BYTES)) };
}
