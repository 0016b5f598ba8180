import type { Clock } from '../../platform/clock.js';
import type { Signer } from '../../platform/crypto/signer.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { CHAIN_START } from './audit-encoding.js';

/** The end of a chain at some time; number 0 where it has no entry yet. */
export interface ChainHead {
  readonly seq: number;
  /** Hex, 64 characters. */
  readonly hash: string;
}

/** What whoever holds it can later prove by: that the chain then ended so. */
export interface SignedHead extends ChainHead {
  readonly orgId: string;
  /** When it was signed: ISO 8601, milliseconds, UTC. */
  readonly at: string;
  /** Ed25519 over `signedHeadText`, base64url. */
  readonly signature: string;
}

/** What is signed: five lines, each with its end. */
export function signedHeadText({ orgId, seq, hash, at }: Omit<SignedHead, 'signature'>): string {
  return ['shunt-audit-head-1', orgId, String(seq), hash, at].map((line) => `${line}\n`).join('');
}

/** In one line, for mails: `<seq>:<hash>`, as `verify-audit --head` takes it, then when it was signed, and the signature. */
export function headLine({ seq, hash, at, signature }: SignedHead): string {
  return `${seq}:${hash} ${at} ${signature}`;
}

/** Signed heads of the trails, for exports, statements and mails. */
export class AuditHeads {
  constructor(
    private readonly database: Database,
    private readonly signer: Signer,
    private readonly clock: Clock,
  ) {}

  /** PEM (SPKI): what a reader checks signatures with. */
  get publicKey(): string {
    return this.signer.publicKey;
  }

  async signed(orgId: string): Promise<SignedHead> {
    return this.database.tenant(orgId, (q) => this.signedWithin(q, orgId));
  }

  /** As a part of a transaction that is scoped to the organization: the head as that transaction sees it. */
  async signedWithin(q: Queryable, orgId: string): Promise<SignedHead> {
    const [row] = await q.query<ChainHead>(
      `SELECT seq::float8 AS seq, encode(hash, 'hex') AS hash FROM audit_heads WHERE org_id = $1`,
      [orgId],
    );
    const { seq, hash } = row ?? { seq: 0, hash: CHAIN_START };
    const head = { orgId, seq, hash, at: new Date(this.clock.nowMs()).toISOString() };
    return { ...head, signature: this.signer.sign(signedHeadText(head)) };
  }
}
