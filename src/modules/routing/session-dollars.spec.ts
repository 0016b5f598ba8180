import { expect, it } from 'vitest';
import { NO_USAGE } from '../../domain/pricing/usage.js';
import type { Target } from '../../domain/routing/decision.js';
import { NO_DIFFICULTY } from '../../domain/routing/session-difficulty.js';
import { NO_HABITS } from '../../domain/routing/session-habits.js';
import { afterCall, NO_EARLIER_ANSWERS } from '../../domain/routing/session-state.js';
import { PriceBook } from '../catalog/price-book.js';
import { cacheRulesOf } from '../session-routing/cache-rules.js';
import type { RoutingRequest } from './routing-request.js';
import { SessionDollars } from './session-dollars.js';

const NOW_MS = Date.parse('2027-06-01T00:00:00Z');
const OLDER: Target = { provider: 'anthropic', model: 'claude-haiku-4-5' };
const NEWER: Target = { provider: 'anthropic', model: 'claude-haiku-5-5' };

/** What the rest costs at either, after a call that the older one answered. */
function expectedAfter(route: Target): readonly (bigint | null)[] {
  const state = afterCall(null, {
    target: OLDER,
    route,
    usage: { ...NO_USAGE, inputTokens: 40_000, outputTokens: 400 },
    cache: cacheRulesOf(OLDER.provider, OLDER.model, null),
    atMs: NOW_MS,
    difficulty: NO_DIFFICULTY,
    control: false,
    earlier: NO_EARLIER_ANSWERS,
  });
  const request = {
    principal: { negotiatedPrices: [] },
    provider: 'anthropic',
    requested: NEWER.model,
    atMs: NOW_MS,
  } as unknown as RoutingRequest;
  const size = { explicit: null, atMs: NOW_MS, promptTokens: 40_000, state };
  const dollars = new SessionDollars(new PriceBook());
  return dollars.expected(request, [OLDER, NEWER], size, dollars.factsOf(size, NO_HABITS));
}

it('a prompt is of the tokens of the model that answered, wherever the session goes from there', () => {
  const stayed = expectedAfter(OLDER);
  expect(stayed).not.toContain(null);
  expect(expectedAfter(NEWER)).toEqual(stayed);
});
