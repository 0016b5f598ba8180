import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import { NO_DIFFICULTY } from '../../../src/domain/routing/session-difficulty.js';
import {
  NO_EARLIER_ANSWERS,
  type SessionOutcome,
} from '../../../src/domain/routing/session-state.js';
import { cacheRulesOf } from '../../../src/modules/session-routing/cache-rules.js';

export const DEAR: Target = { provider: 'openai', model: 'gpt-6.2-sol' };
export const CHEAP: Target = { provider: 'openai', model: 'gpt-6.1-terra' };

/** An answered call at a target, at a time. */
export function outcomeAt(
  atMs: number,
  target: Target = DEAR,
  usage: Partial<Usage> = { inputTokens: 10_000, outputTokens: 200 },
): SessionOutcome {
  return {
    target,
    route: target,
    usage: { ...NO_USAGE, ...usage },
    cache: cacheRulesOf(target.provider, target.model, null),
    atMs,
    difficulty: NO_DIFFICULTY,
    control: false,
    earlier: NO_EARLIER_ANSWERS,
  };
}
