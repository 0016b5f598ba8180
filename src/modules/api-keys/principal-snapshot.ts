import type { PrincipalRow } from './principal-row.js';
import type { Standing } from './standing.js';

/** A key as a snapshot holds it: everything sealed stays sealed, and is sealed once more with the rest. */
export interface KeyOnDisk {
  /** SHA-256 of the key, base64url. */
  readonly digest: string;
  readonly row: PrincipalRow;
  /** Newer than the row's own status and hold; null where the row is all that is known. */
  readonly standing: Standing | null;
}

/** One line of JSON. */
export function encodeKey({ digest, row, standing }: KeyOnDisk): string {
  return JSON.stringify({
    ...row,
    digest,
    status: standing?.status ?? row.status,
    routing_hold: standing?.hold ?? row.routing_hold,
    hash_key_sealed: row.hash_key_sealed?.toString('base64') ?? null,
  });
}

/** Of what this version wrote itself: the seal around it says so. */
export function decodeKey(line: string): KeyOnDisk {
  const { digest, ...row } = JSON.parse(line) as PrincipalRow & {
    readonly digest: string;
    readonly hash_key_sealed: string | null;
  };
  const { hash_key_sealed: sealed, expires_at, revoked_at } = row;
  return {
    digest,
    standing: null,
    row: {
      ...row,
      expires_at: expires_at === null ? null : new Date(expires_at),
      revoked_at: revoked_at === null ? null : new Date(revoked_at),
      hash_key_sealed: sealed === null ? null : Buffer.from(sealed, 'base64'),
    },
  };
}
