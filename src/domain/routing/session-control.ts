const BASIS_POINTS = 10_000n;
const HASH_BITS = 64n;
const HASH_BYTES = 8;

/**
 * Whether a session belongs to the control group, from a keyed hash of it: the same session always gets the same
 * answer, and raising the share only adds sessions.
 *
 * @param hash uniform; its first 64 bits count, or the lowest 64 of a bigint. Fewer than 8 bytes throw `RangeError`.
 * @param shareBasisPoints of 10,000; beyond that all, below 0 none.
 */
export function isControl(hash: bigint | Uint8Array, shareBasisPoints: number): boolean {
  const share = BigInt(Math.min(Math.max(Math.trunc(shareBasisPoints), 0), Number(BASIS_POINTS)));
  const position = typeof hash === 'bigint' ? BigInt.asUintN(Number(HASH_BITS), hash) : head(hash);
  return position * BASIS_POINTS < share << HASH_BITS;
}

function head(hash: Uint8Array): bigint {
  if (hash.length < HASH_BYTES) throw new RangeError('a hash of at least 8 bytes is needed');
  let position = 0n;
  for (let at = 0; at < HASH_BYTES; at += 1) position = (position << 8n) | BigInt(hash[at] ?? 0);
  return position;
}
