import { hash } from 'node:crypto';

/** The start of the range that `created` times are drawn from: 2026-01-01T00:00:00Z, in seconds. */
const CREATED_FROM_S = 1_767_225_600;
const CREATED_RANGE_S = 20_000_000;

/** A hex digest of the text; equal requests have equal digests, so they get equal answers. */
export function digestOf(text: string | Buffer): string {
  return hash('sha256', text, 'hex');
}

/** An id in the provider's manner, such as `chatcmpl-1f0c...`, drawn from the digest. */
export function idFrom(digest: string, prefix: string, salt = ''): string {
  const source = salt === '' ? digest : digestOf(`${salt}:${digest}`);
  return `${prefix}${source.slice(0, 24)}`;
}

/** Seconds since the epoch, drawn from the digest: the same request was always `created` at the same time. */
export function createdFrom(digest: string): number {
  return CREATED_FROM_S + (Number.parseInt(digest.slice(0, 8), 16) % CREATED_RANGE_S);
}

/** A repeatable sequence of numbers in [0, 1), started from the digest (Mulberry32). */
export function sequenceFrom(digest: string): () => number {
  let state = Number.parseInt(digest.slice(8, 16), 16) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
