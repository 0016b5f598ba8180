import type { DatedPrices } from '../../../src/domain/pricing/model-prices.js';
import { pricesForPrompt } from '../../../src/domain/pricing/model-prices.js';
import { costOf } from '../../../src/domain/pricing/rating.js';
import { NO_USAGE, type Usage } from '../../../src/domain/pricing/usage.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import type { CacheRules } from '../../../src/domain/routing/session-cache.js';
import { NO_DIFFICULTY } from '../../../src/domain/routing/session-difficulty.js';
import { expectedSessionsNanoUsd } from '../../../src/domain/routing/session-economics.js';
import { learned, type SessionHabits } from '../../../src/domain/routing/session-habits.js';
import {
  afterCall,
  cacheStateOf,
  habitCallOf,
  NO_EARLIER_ANSWERS,
  sessionFacts,
  type SessionState,
} from '../../../src/domain/routing/session-state.js';
import type { SessionTrace } from './session-traces.js';

/** A model as the simulation knows it: its price list and how its provider caches. */
export interface SimulatedModel {
  readonly target: Target;
  readonly entry: DatedPrices;
  readonly cache: CacheRules;
}

export interface Pair {
  readonly name: string;
  readonly requested: SimulatedModel;
  readonly cheaper: SimulatedModel;
}

/** What one session costs from the first call that could be routed on, in nano-USD. */
export interface SessionCosts {
  readonly stayNanoUsd: bigint;
  readonly switchNanoUsd: bigint;
  readonly policyNanoUsd: bigint;
  /** The best single moment to switch, or never, for somebody who knows the whole session. */
  readonly oracleNanoUsd: bigint;
}

/** What the provider's cache really holds: nothing of the arithmetic under test is used for it. */
interface Warmth {
  prefixTokens: number;
  lastAtMs: number;
}

const COLD: Warmth = { prefixTokens: 0, lastAtMs: Number.NEGATIVE_INFINITY };
const WRITE_FIELD = {
  '5m': 'cacheWrite5mTokens',
  '30m': 'cacheWrite30mTokens',
  '1h': 'cacheWrite1hTokens',
  '12h': 'cacheWrite12hTokens',
  free: 'inputTokens',
} as const;

function billedUsage(model: SimulatedModel, trace: SessionTrace, at: number, warm: Warmth): Usage {
  const { promptTokens = 0, outputTokens = 0, atMs = 0 } = trace.calls[at] ?? {};
  const { cache } = model;
  const usage: Record<keyof Usage, number> = { ...NO_USAGE, outputTokens };
  if (cache.mode === 'none' || promptTokens < cache.minPrefixTokens) {
    usage.inputTokens = promptTokens;
    return usage;
  }
  const hit =
    trace.stablePrefix &&
    warm.prefixTokens >= cache.minPrefixTokens &&
    atMs - warm.lastAtMs <= cache.ttlMs;
  const read = hit ? Math.min(warm.prefixTokens, promptTokens) : 0;
  usage.cacheReadTokens = read;
  usage[WRITE_FIELD[cache.write]] += promptTokens - read;
  return usage;
}

function billed(model: SimulatedModel, usage: Usage, promptTokens: number): bigint {
  const cost = costOf(usage, pricesForPrompt(model.entry, promptTokens));
  if (cost === null) throw new Error(`${model.target.model} has a price missing`);
  return cost;
}

function costAt(model: SimulatedModel, trace: SessionTrace, at: number, warm: Warmth): bigint {
  const promptTokens = trace.calls[at]?.promptTokens ?? 0;
  return billed(model, billedUsage(model, trace, at, warm), promptTokens);
}

/** As a call of the trace leaves a provider's cache. */
function warmthAfter(trace: SessionTrace, at: number): Warmth {
  const { promptTokens = 0, atMs = 0 } = trace.calls[at] ?? {};
  return at < 0 ? COLD : { prefixTokens: promptTokens, lastAtMs: atMs };
}

/** Always-stay, always-switch and the oracle, from the costs of every call cold and warm. */
export function fixedCosts(pair: Pair, trace: SessionTrace): Omit<SessionCosts, 'policyNanoUsd'> {
  const { opensAt, calls } = trace;
  const stay: bigint[] = [];
  const warm: bigint[] = [];
  const cold: bigint[] = [];
  for (let at = opensAt; at < calls.length; at += 1) {
    stay.push(costAt(pair.requested, trace, at, warmthAfter(trace, at - 1)));
    warm.push(costAt(pair.cheaper, trace, at, warmthAfter(trace, at - 1)));
    cold.push(costAt(pair.cheaper, trace, at, COLD));
  }
  const stayNanoUsd = stay.reduce((sum, cost) => sum + cost, 0n);
  let rest = 0n;
  let stayed = stayNanoUsd;
  let oracleNanoUsd = stayNanoUsd;
  let switchNanoUsd = stayNanoUsd;
  for (let at = stay.length - 1; at >= 0; at -= 1) {
    stayed -= stay[at] ?? 0n;
    const total = stayed + (cold[at] ?? 0n) + rest;
    rest += warm[at] ?? 0n;
    if (total < oracleNanoUsd) oracleNanoUsd = total;
    switchNanoUsd = total;
  }
  return { stayNanoUsd, switchNanoUsd, oracleNanoUsd };
}

export interface PolicyRun {
  readonly costNanoUsd: bigint;
  readonly habits: SessionHabits;
}

/** Runs the product's own state, habits and arithmetic over a session: at each call the cheaper expectation wins. */
export function runPolicy(pair: Pair, trace: SessionTrace, habits: SessionHabits): PolicyRun {
  const warmth = new Map<SimulatedModel, Warmth>();
  let state: SessionState | null = null;
  let current = pair.requested;
  let costNanoUsd = 0n;
  let known = habits;
  for (const [at, { atMs, promptTokens }] of trace.calls.entries()) {
    if (at >= trace.opensAt) current = preferred(pair, current, state, known, trace, at);
    const usage = billedUsage(current, trace, at, warmth.get(current) ?? COLD);
    if (at >= trace.opensAt) costNanoUsd += billed(current, usage, promptTokens);
    warmth.set(current, { prefixTokens: promptTokens, lastAtMs: atMs });
    const before: SessionState | null = state;
    state = afterCall(before, {
      target: current.target,
      route: current.target,
      usage,
      cache: current.cache,
      atMs,
      difficulty: NO_DIFFICULTY,
      control: false,
      earlier: NO_EARLIER_ANSWERS,
    });
    known = learned(known, habitCallOf(before, state, usage));
  }
  return { costNanoUsd, habits: known };
}

/** Habits as an observation leaves them: sessions that nobody routed. */
export function observe(habits: SessionHabits, trace: SessionTrace): SessionHabits {
  let known = habits;
  for (const [at, call] of trace.calls.entries()) {
    const before = trace.calls[at - 1];
    known = learned(known, {
      turns: at + 1,
      gapMs: before === undefined ? null : call.atMs - before.atMs,
      growthTokens: before === undefined ? null : call.promptTokens - before.promptTokens,
      promptTokens: call.promptTokens,
      outputTokens: call.outputTokens,
    });
  }
  return known;
}

function preferred(
  pair: Pair,
  current: SimulatedModel,
  state: SessionState | null,
  habits: SessionHabits,
  trace: SessionTrace,
  at: number,
): SimulatedModel {
  const { promptTokens = 0, atMs = 0 } = trace.calls[at] ?? {};
  const facts = sessionFacts(state, habits, promptTokens);
  const other = current === pair.requested ? pair.cheaper : pair.requested;
  const [staying = null, switching = null] = expectedSessionsNanoUsd(
    facts,
    [current, other].map((model) => ({
      prices: model.entry,
      cache: model.cache,
      state: cacheStateOf(state, model.target, atMs),
    })),
  );
  return staying !== null && switching !== null && switching < staying ? other : current;
}
