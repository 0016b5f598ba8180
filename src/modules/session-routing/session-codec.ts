import { PROVIDERS } from '../../domain/routing/provider.js';
import type { Target } from '../../domain/routing/decision.js';
import { WHOLE_PERMILLE } from '../../domain/routing/session-cache.js';
import { NO_GAPS } from '../../domain/routing/session-habits.js';
import {
  CACHES_MAX,
  type SessionState,
  type TargetCache,
} from '../../domain/routing/session-state.js';

/** Changes with the layout; a value of another version is an unknown session. */
const VERSION = 2;
const MODEL_CHARS_MAX = 200;
const FIELDS = 18;
/** Where a reader that counts from 1 finds them. */
export const ANSWERED_BY_AT = 17;
export const ANSWERS_SHOWN_AT = 18;

/** One flat list of numbers and names of models: a few hundred bytes, no content. */
export function encodeSession(state: SessionState): string {
  const { hardest } = state;
  return JSON.stringify([
    VERSION,
    state.route.provider,
    state.route.model,
    state.turns,
    state.startedAtMs,
    state.lastCallAtMs,
    state.promptTokens,
    state.growthTokens ?? -1,
    state.outputTokens,
    state.lastOutputTokens,
    state.gaps,
    state.markedPermille,
    state.reusedPermille,
    [hardest.toolCount, hardest.lengthClass, hardest.effortRank],
    state.control ? 1 : 0,
    state.caches.map(({ target, prefixTokens, lastCallAtMs }) => [
      target.provider,
      target.model,
      prefixTokens,
      lastCallAtMs,
    ]),
    state.answeredBy && [state.answeredBy.provider, state.answeredBy.model],
    state.answersShown,
  ]);
}

/** Null for anything that `encodeSession` does not write: what another program left there changes no route. */
export function decodeSession(text: string): SessionState | null {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(fields) || fields.length !== FIELDS || fields[0] !== VERSION) return null;
  const [, provider, model, turns, startedAtMs, lastCallAtMs] = fields as unknown[];
  const [promptTokens, growth, output, lastOutput] = fields.slice(6) as unknown[];
  const [gaps, marked, reused, difficulty, control, caches] = fields.slice(10) as unknown[];
  const [answerer, answersShown] = fields.slice(16) as unknown[];
  const route = targetOf(provider, model);
  const kept = cachesOf(caches);
  if (route === null || kept === null) return null;
  const counts = [turns, startedAtMs, lastCallAtMs, promptTokens, output, lastOutput, answersShown];
  if (!isCounts(counts, counts.length)) return null;
  if (!isCounts(gaps, NO_GAPS.length) || !isCounts(difficulty, 3)) return null;
  if (!isShare(marked) || !isShare(reused)) return null;
  const [toolCount = 0, lengthClass = 0, effortRank = 0] = difficulty;
  return {
    route,
    turns: turns as number,
    startedAtMs: startedAtMs as number,
    lastCallAtMs: lastCallAtMs as number,
    promptTokens: promptTokens as number,
    growthTokens: isCount(growth) ? growth : null,
    outputTokens: output as number,
    lastOutputTokens: lastOutput as number,
    gaps,
    markedPermille: marked,
    reusedPermille: reused,
    hardest: { toolCount, lengthClass, effortRank },
    control: control === 1,
    answeredBy: Array.isArray(answerer) ? targetOf(answerer[0], answerer[1]) : null,
    answersShown: answersShown as number,
    caches: kept,
  };
}

function cachesOf(value: unknown): TargetCache[] | null {
  if (!Array.isArray(value) || value.length > CACHES_MAX) return null;
  const caches: TargetCache[] = [];
  for (const item of value as unknown[]) {
    if (!Array.isArray(item)) return null;
    const [provider, model, prefixTokens, lastCallAtMs] = item as unknown[];
    const target = targetOf(provider, model);
    if (target === null || !isCount(prefixTokens) || !isCount(lastCallAtMs)) return null;
    caches.push({ target, prefixTokens, lastCallAtMs });
  }
  return caches;
}

function targetOf(provider: unknown, model: unknown): Target | null {
  const known = PROVIDERS.find((name) => name === provider);
  if (known === undefined || typeof model !== 'string') return null;
  return model === '' || model.length > MODEL_CHARS_MAX ? null : { provider: known, model };
}

function isCounts(value: unknown, length: number): value is number[] {
  return Array.isArray(value) && value.length === length && (value as unknown[]).every(isCount);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isShare(value: unknown): value is number {
  return isCount(value) && value <= WHOLE_PERMILLE;
}
