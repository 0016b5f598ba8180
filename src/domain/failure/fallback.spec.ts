import { describe, expect, it } from 'vitest';
import type { FailureClass } from './failure-class.js';
import { mayFallBack } from './fallback.js';

/** To the requested model, to the chain; each with another key, with the same key. */
const TABLE: readonly [FailureClass, boolean, boolean, boolean, boolean][] = [
  ['transient', true, true, true, true],
  ['rate_limit', true, true, true, true],
  ['quota', true, true, true, false],
  ['credential', true, false, false, false],
  ['model_access', true, true, false, false],
  ['caller_fault', true, true, false, false],
  ['context_too_long', true, true, false, false],
  ['content_filtered', true, true, false, false],
];

describe('a fallback before the first byte', () => {
  it.each(TABLE)(
    '%s: to the requested model %s (same key %s), along the chain %s (same key %s)',
    (failure, requested, requestedSameKey, chain, chainSameKey) => {
      expect(mayFallBack(failure, { to: 'requested', sameKey: false })).toBe(requested);
      expect(mayFallBack(failure, { to: 'requested', sameKey: true })).toBe(requestedSameKey);
      expect(mayFallBack(failure, { to: 'chain', sameKey: false })).toBe(chain);
      expect(mayFallBack(failure, { to: 'chain', sameKey: true })).toBe(chainSameKey);
    },
  );
});
