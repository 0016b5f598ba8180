import { canonicalJson, type Canonical } from '../../domain/reports/canonical-json.js';
import { isSignedBy } from '../../platform/crypto/signer.js';

/** The first member of every statement's text: what is signed is a statement, and nothing else that the key signs. */
export const STATEMENT_DOCUMENT = 'shunt-savings-statement-1';

/** A statement as it is stored and handed out; `text` is what was signed, to the byte. */
export interface SignedStatement {
  readonly text: string;
  /** Ed25519 over the UTF-8 of the text, base64url. */
  readonly signature: string;
  /** PEM (SPKI). */
  readonly publicKey: string;
}

/** The text of a statement, on one line, without an end of line. */
export function statementText(body: Readonly<Record<string, Canonical>>): string {
  return canonicalJson({ ...body, document: STATEMENT_DOCUMENT });
}

/**
 * Whether the text is a statement that this key signed. Needs nothing but the three: no database, no network. False
 * for a signed text of any other kind, and for one that says the same in another way.
 */
export function isGenuineStatement(publicKeyPem: string, text: string, signature: string): boolean {
  try {
    if (!isSignedBy(publicKeyPem, text, signature)) return false;
    const body = JSON.parse(text) as Canonical;
    if (body === null || typeof body !== 'object' || Array.isArray(body)) return false;
    const isStatement = (body as Record<string, unknown>)['document'] === STATEMENT_DOCUMENT;
    return isStatement && canonicalJson(body) === text;
  } catch {
    // No key, no signature or no text at all.
    return false;
  }
}
