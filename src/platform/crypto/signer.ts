import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

/** Ed25519 signatures of the installation, for whoever holds an export, a statement or a mail to check later. */
export class Signer {
  readonly #key: KeyObject;
  /** PEM (SPKI): what a verifier needs, and nothing secret. */
  readonly publicKey: string;

  /** Takes a private key in PEM (PKCS#8). */
  constructor(privateKeyPem: string) {
    this.#key = createPrivateKey(privateKeyPem);
    this.publicKey = createPublicKey(this.#key).export({ format: 'pem', type: 'spki' }).toString();
  }

  /** Base64url over the UTF-8 bytes. */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.#key).toString('base64url');
  }
}

/** False for any signature that is not the key's over exactly this text. */
export function isSignedBy(publicKeyPem: string, text: string, signature: string): boolean {
  const key = createPublicKey(publicKeyPem);
  return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64url'));
}
