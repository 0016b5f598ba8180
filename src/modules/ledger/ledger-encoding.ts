import { createHash, type Hash } from 'node:crypto';
import type { LedgerEntry } from '../../domain/savings/ledger-entry.js';

/** The hash before the first seal of a chain. */
export const CHAIN_START = '0'.repeat(64);

/** The columns of an entry, in the order in which they are hashed. */
export const HASHED_COLUMNS = [
  'org_id',
  'seq',
  'request_id',
  'kind',
  'attempt',
  'at_ms',
  'project_id',
  'synthetic',
  'auto',
  'decision_source',
  'decision_id',
  'baseline_provider',
  'baseline_model',
  'served_provider',
  'served_model',
  'usage',
  'served_prices',
  'served_price_version',
  'actual_nano_usd',
  'baseline_usage',
  'baseline_method',
  'baseline_prices',
  'baseline_price_version',
  'baseline_nano_usd',
  'savings_nano_usd',
] as const satisfies readonly (keyof LedgerEntry | 'seq')[];

export type HashedColumn = (typeof HASHED_COLUMNS)[number];

/** An entry as it stands: the text of each column as it was hashed, and the hash in hex. */
export type LedgerRow = Readonly<Record<HashedColumn, string>> & { readonly entry_hash: string };

/** A seal as it stands. */
export interface SealRow {
  readonly orgId: string;
  readonly seq: number;
  /** The numbers of the first and the last entry that it is over. */
  readonly first: number;
  readonly last: number;
  /** Hex, 64 characters each. */
  readonly root: string;
  readonly prev: string;
  readonly hash: string;
  /** ISO 8601, milliseconds, UTC. */
  readonly sealedAt: string;
  readonly signature: string;
  readonly keyId: string;
}

export const LEDGER_ROW_COLUMNS = `${HASHED_COLUMNS.map((column) => `savings_ledger.${column}::text AS ${column}`).join(', ')},
  encode(entry_hash, 'hex') AS entry_hash`;

export const SEAL_ROW_COLUMNS = `org_id AS "orgId", seals.seq::float8 AS seq, lower(range)::float8 AS first,
  (upper(range) - 1)::float8 AS last, encode(root, 'hex') AS root, encode(prev, 'hex') AS prev,
  encode(hash, 'hex') AS hash, to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "sealedAt",
  signature, key_id AS "keyId"`;

/** SHA-256 in hex, over the encoding that docs/savings-ledger.md describes. */
export function hashEntry(row: Readonly<Record<HashedColumn, string>>): string {
  return hashFields(['shunt-ledger-1', ...HASHED_COLUMNS.map((column) => row[column])]);
}

export function hashSeal(seal: Omit<SealRow, 'hash' | 'signature' | 'keyId'>): string {
  const { orgId, seq, first, last, root, prev, sealedAt } = seal;
  return hashFields([
    'shunt-seal-1',
    orgId,
    String(seq),
    String(first),
    String(last),
    root,
    prev,
    sealedAt,
  ]);
}

/** The hash over the entries of a seal: give it each entry's hash, in order. */
export class RootHash {
  readonly #hash: Hash = createHash('sha256');

  add(entryHash: string): void {
    this.#hash.update(Buffer.from(entryHash, 'hex'));
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

function hashFields(fields: readonly string[]): string {
  const text = fields.map((field) => `${Buffer.byteLength(field)}:${field},`).join('');
  return createHash('sha256').update(text).digest('hex');
}
