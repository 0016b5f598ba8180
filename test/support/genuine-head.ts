import { signedHeadText, type SignedHead } from '../../src/modules/audit/audit-heads.js';
import { isSignedBy } from '../../src/platform/crypto/signer.js';

/** As whoever holds a head checks it. */
export function isGenuineHead(publicKeyPem: string, head: SignedHead): boolean {
  return isSignedBy(publicKeyPem, signedHeadText(head), head.signature);
}
