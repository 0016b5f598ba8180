import { createHash, createPublicKey } from 'node:crypto';
import { isSignedBy } from '../../platform/crypto/signer.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { SEAL_ROW_COLUMNS, type SealRow } from './ledger-encoding.js';

/** The end of a chain of seals, as exports, statements and mails print it: `<seal>:<hash>`. */
export interface LedgerHead {
  /** The number of the seal; 0 where there is none yet. */
  readonly seal: number;
  /** Hex, 64 characters. */
  readonly hash: string;
}

/** What whoever holds it can later prove by: that the ledger then had these entries. */
export interface SignedLedgerHead extends LedgerHead {
  readonly orgId: string;
  /** The number of the last entry under seal. */
  readonly entries: number;
  readonly sealedAt: string;
  /** Ed25519 over `ledgerHeadText`, base64url. */
  readonly signature: string;
}

/** What a seal signs: six lines, each with its end. */
export function ledgerHeadText(head: Omit<SignedLedgerHead, 'signature'>): string {
  const { orgId, seal, entries, hash, sealedAt } = head;
  return ['shunt-ledger-head-1', orgId, String(seal), String(entries), hash, sealedAt]
    .map((line) => `${line}\n`)
    .join('');
}

export function headOf(seal: SealRow): SignedLedgerHead {
  const { orgId, seq, last, hash, sealedAt, signature } = seal;
  return { orgId, seal: seq, entries: last, hash, sealedAt, signature };
}

export function isGenuineLedgerHead(publicKeyPem: string, head: SignedLedgerHead): boolean {
  return isSignedBy(publicKeyPem, ledgerHeadText(head), head.signature);
}

/** Tells keys apart: the first 16 digits of the SHA-256 of the public key (SPKI, DER). */
export function keyIdOf(publicKeyPem: string): string {
  const der = createPublicKey(publicKeyPem).export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(der).digest('hex').slice(0, 16);
}

/** The newest seal as a signed head; null while nothing is sealed. */
export async function ledgerHeadWithin(
  q: Queryable,
  orgId: string,
): Promise<SignedLedgerHead | null> {
  const [row] = await q.query<SealRow>(
    `SELECT ${SEAL_ROW_COLUMNS} FROM seals WHERE org_id = $1 ORDER BY seals.seq DESC LIMIT 1`,
    [orgId],
  );
  return row === undefined ? null : headOf(row);
}

/** For exports, statements and mails. */
export class LedgerHeads {
  constructor(
    private readonly database: Database,
    /** PEM (SPKI): what a reader checks signatures with. */
    readonly publicKey: string,
  ) {}

  async current(orgId: string): Promise<SignedLedgerHead | null> {
    return this.database.tenant(orgId, (q) => ledgerHeadWithin(q, orgId));
  }
}
