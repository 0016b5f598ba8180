import { NO_FACTS, type PromptFacts } from '../../domain/classification/prompt-facts.js';
import { isRouted } from '../../domain/routing/decide.js';
import type { Target } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import {
  cacheHadItStayed,
  sameTarget,
  type SessionState,
} from '../../domain/routing/session-state.js';
import { WHOLE_PERMILLE, type CacheRules } from '../../domain/routing/session-cache.js';
import { promptTokens } from '../../domain/pricing/unit-prices.js';
import type { Usage } from '../../domain/pricing/usage.js';
import { baselineCacheOf } from '../../domain/savings/baseline-cache.js';
import {
  scaledTokens,
  textPromptTokens,
  type BaselineCache,
  type TokenizerRatio,
} from '../../domain/savings/baseline-usage.js';
import {
  failedAttemptEntry,
  routedEntry,
  type LedgerCall,
  type UnpricedCall,
} from '../../domain/savings/ledger-entries.js';
import type { DecisionSource, Exclusion, LedgerEntry } from '../../domain/savings/ledger-entry.js';
import { tokenizerRatio } from '../../domain/savings/tokenizer-ratio.js';
import { routesIn } from '../../domain/subscription/status.js';
import type { PriceBook, VersionedRating } from '../../modules/catalog/price-book.js';
import { statesUsage } from '../../modules/metering/usage/read-usage.js';
import type { UsageReport } from '../../modules/metering/usage-report.js';
import { capabilitiesOf } from '../../modules/routing/model-capabilities/models.js';
import type { Routing } from '../../modules/routing/routing-request.js';
import { cacheRulesOf } from '../../modules/session-routing/cache-rules.js';
import type { Attempt, Planned, SharedPrefix } from '../call.js';
import type { FailedAttempt } from './failed-attempt.js';
import { readReport, type Metering } from './meter.js';
import type { Settlement } from './relay.js';
import { warmBytes } from './shared-prefix.js';

/** What the ledger says of a call. */
export interface Savings {
  readonly entries: readonly LedgerEntry[];
  /** Why there is no `routed` entry; null where there is one, and for organizations that do not route. */
  readonly exclusion: Exclusion | null;
  /** What the requested model would have cost; null where that is what the call itself cost. */
  readonly baselineNanoUsd: string | null;
  /** See `StoredRouting`. */
  readonly unknownCostAttempts: number;
  /** What the `routed` entry needs beside a price that is not known yet. */
  readonly unpriced?: UnpricedCall;
}

const NO_ENTRIES: readonly LedgerEntry[] = Object.freeze([]);
const NOTHING_FAILED: FailedCosts = Object.freeze({
  entries: NO_ENTRIES,
  unknown: 0,
  unaccounted: 0,
});

/**
 * The ledger's part of a call. An entry is made where the router's own decision served: another model than the one
 * that was asked for, chosen by a rule or a session, or standing in for such a choice that failed. A fallback of a call
 * that would not have been routed saves nothing that anybody could claim, whatever it costs; neither does one that
 * ends with the requested model.
 */
export function savingsOf(
  call: Planned,
  settlement: Settlement,
  metering: Metering,
  served: VersionedRating | null,
  prices: PriceBook,
): Savings {
  const { routing } = call;
  if (routing === null) {
    return excluded(exclusionOf(call), NOTHING_FAILED);
  }
  const target = servedTarget(settlement, metering);
  const { requested } = routing.inputs;
  const failed = failedCosts(call, routing, settlement, prices);
  const isAnothers = target !== null && !sameTarget(asked(settlement), requested);
  if (target === null || !isAnothers || !wasRouted(call, routing)) {
    const isGivenUp = wasRouted(call, routing) && settlement.decision === 'fallback';
    return excluded(isGivenUp ? 'failed' : exclusionOf(call), failed);
  }
  if (metering.kind !== 'reported') {
    return excluded(metering.kind === 'estimated' ? 'estimated' : unmetered(settlement), failed);
  }
  if (!wasAnswered(settlement)) return excluded('failed', failed);
  if (failed.unknown > 0) return excluded('unpriceable', failed);
  const { report } = metering;
  const { facts } = routing.sighting.reading ?? { facts: NO_FACTS };
  // What a picture counts differs within a family too: by a factor of thirty between gpt-4o and gpt-4o-mini.
  const isText = !facts.hasImages && !facts.hasDocuments;
  const ratio = isText ? tokenizerRatio(requested, target) : null;
  const accounted = routedEntry({
    ...ledgerCall(call, routing, settlement),
    served: target,
    metering: metering.kind,
    usage: report.usage,
    servedRating: served,
    ratio,
    baselineReasons: reasons(requested, facts),
    cache: baselineCache(call, routing, report.usage, ratio),
    rateBaseline: (usage) =>
      prices.rate({ ...termsOf(call, requested, target.provider, report), usage }),
  });
  if (accounted.kind === 'excluded') {
    const { why, unpriced } = accounted;
    return { ...excluded(why, failed), ...(unpriced === undefined ? {} : { unpriced }) };
  }
  const { entry } = accounted;
  return {
    entries: [...failed.entries, entry],
    exclusion: null,
    baselineNanoUsd: entry.baseline_nano_usd,
    unknownCostAttempts: failed.unaccounted,
  };
}

function excluded(exclusion: Exclusion | null, { entries, unaccounted }: FailedCosts): Savings {
  return { entries, exclusion, baselineNanoUsd: null, unknownCostAttempts: unaccounted };
}

/** True where the router itself sent the call elsewhere, or meant to. */
function wasRouted(call: Planned, { inputs, decision }: Routing): boolean {
  return call.decision === decision.decision && isRouted(inputs, decision);
}

/** A failure may report usage too: it was paid for, and nothing was saved by it. */
function wasAnswered({ outcome }: Settlement): boolean {
  return outcome === 'completed' || outcome === 'client_aborted';
}

/** False where it is known that the model would not have reasoned unasked. */
function reasons({ provider, model }: Target, facts: PromptFacts): boolean {
  const isAsked = facts.reasoningEffort !== 'unset' || facts.thinking !== 'unset';
  return isAsked || capabilitiesOf(provider, model)?.reasonsByDefault !== false;
}

/** Of organizations that do not route, nothing is left out. */
function exclusionOf(call: Planned): Exclusion | null {
  if (!routesIn(call.mode)) return null;
  switch (call.decision) {
    case 'passthrough':
    case 'override':
    case 'control':
      return call.decision;
    default:
      return 'abstain';
  }
}

function unmetered(settlement: Settlement): Exclusion {
  return wasAnswered(settlement) ? 'unmetered' : 'failed';
}

function asked({ attempt: { provider, model } }: Settlement): Target {
  return { provider, model: model ?? '' };
}

/** As the provider names what answered, which is what was priced. */
function servedTarget({ attempt }: Settlement, metering: Metering): Target | null {
  const answering = 'report' in metering ? metering.report.answeringModel : null;
  const model = answering ?? attempt.model;
  return model === null ? null : { provider: attempt.provider, model };
}

function ledgerCall(call: Planned, routing: Routing, settlement: Settlement): LedgerCall {
  const { provider, model } = routing.inputs.requested;
  return {
    orgId: call.principal.orgId,
    requestId: call.requestId,
    projectId: call.principal.projectId,
    atMs: call.startedAtMs,
    synthetic: settlement.synthetic,
    auto: routing.inputs.auto,
    source: sourceOf(call, settlement),
    rulesVersion: routing.inputs.version,
    baseline: { provider, model },
  };
}

function sourceOf(call: Planned, { decision }: Settlement): DecisionSource {
  if (decision === 'fallback') return 'fallback';
  return call.decision === 'session' ? 'session' : 'classifier';
}

interface FailedCosts {
  readonly entries: readonly LedgerEntry[];
  /** Attempts at other models than the requested one that may have cost something, nobody knows what. */
  readonly unknown: number;
  /** Attempts at any model that may have cost something that no entry states. */
  readonly unaccounted: number;
}

/**
 * What attempts cost that Shunt made and the client did not ask for: those that went to another model than the
 * requested one. What the requested model charges for failing, it would have charged without Shunt; but a session with
 * such an attempt has a cost that is not known, in the control group as in the other.
 */
function failedCosts(
  call: Planned,
  routing: Routing,
  settlement: Settlement,
  prices: PriceBook,
): FailedCosts {
  if (settlement.failed.length === 0) return NOTHING_FAILED;
  const costs = settlement.failed.map((failed) => ({
    isAsked: isOf(failed.attempt, routing.inputs.requested),
    cost: failedCost(call, routing, settlement, failed, prices),
  }));
  const others = costs.filter(({ isAsked }) => !isAsked).map(({ cost }) => cost);
  const entries = others.filter((cost) => cost !== null && cost !== 'free');
  const costly = costs.filter(({ cost }) => cost !== 'free').length;
  return {
    entries,
    unknown: others.filter((cost) => cost === null).length,
    unaccounted: costly - entries.length,
  };
}

/** Null where it is not known. */
function failedCost(
  call: Planned,
  routing: Routing,
  settlement: Settlement,
  { attempt, usage: stated, answer }: FailedAttempt,
  prices: PriceBook,
): LedgerEntry | 'free' | null {
  const { provider, model, number } = attempt;
  if (stated === 'unknown') return null;
  // Providers do not bill errors that say nothing of usage.
  if (stated === 'nothing' || !statesUsage(call.route.format, answer)) return 'free';
  const answers: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  const report = readReport(call.route.format, provider, answers);
  if (report === null || model === null) return null;
  const tried = { provider, model: report.answeringModel ?? model };
  const { usage } = report;
  const rating = prices.rate({ ...termsOf(call, tried, provider, report), usage });
  const common = ledgerCall(call, routing, settlement);
  return failedAttemptEntry({ ...common, attempt: number, tried, usage, rating });
}

function isOf({ provider, model }: Attempt, requested: Target): boolean {
  return model !== null && sameTarget({ provider, model }, requested);
}

/** The words for tier, speed and region are the provider's own: another one's prices do not know them. */
function termsOf(
  call: Planned,
  { provider, model }: Target,
  reportedBy: Provider,
  report: UsageReport,
) {
  const isSame = provider === reportedBy;
  return {
    provider,
    model,
    atMs: call.startedAtMs,
    serviceTier: isSame ? report.serviceTier : null,
    speed: isSame ? report.speed : null,
    region: isSame ? report.region : null,
    negotiated: call.principal.negotiatedPrices,
  };
}

const NO_CACHE: BaselineCache = Object.freeze({ readTokens: 0, writeTokens: 0, writeTtl: 'free' });

/** The requested model's cache, had every call of the session, and of those that share its prefix, gone there. */
function baselineCache(
  { sharedPrefix }: Planned,
  { inputs: { requested }, size }: Routing,
  usage: Usage,
  ratio: TokenizerRatio | null,
): BaselineCache {
  if (ratio === null) return NO_CACHE;
  const rules = writtenAs(cacheRulesOf(requested.provider, requested.model, size.explicit), usage);
  const held = cacheHadItStayed(countedAnew(size.state, ratio), rules, size.atMs);
  const call = {
    promptTokens: textPromptTokens(usage),
    servedReadTokens: usage.cacheReadTokens,
    sharedTokens: sharedTokens(sharedPrefix, textPromptTokens(usage)),
    ratio,
    gapMs: held?.ageMs ?? 0,
    markedPermille: markedPermille(rules, usage, size.state?.markedPermille ?? WHOLE_PERMILLE),
  };
  return baselineCacheOf(held, call, rules).cache;
}

/** By its share of the request's bytes, rounded up. */
function sharedTokens(shared: SharedPrefix | null, prompt: number): number {
  if (shared === null) return 0;
  return Math.min(Math.ceil((prompt * warmBytes(shared)) / shared.bodyBytes), prompt);
}

/**
 * Where nothing shows how much a request marks, none of it is said to be written. Marks of both lifetimes in one
 * request: how much is under which is not known, and the shorter one costs less.
 */
function writtenAs(rules: CacheRules, usage: Usage): CacheRules {
  if (rules.mode === 'explicit' && keptTokens(usage) === 0) return { ...rules, write: 'free' };
  return rules.write === '1h' && usage.cacheWrite5mTokens > 0 ? { ...rules, write: '5m' } : rules;
}

/** The last prompt was counted by whichever model answered it; of its two readings the larger makes a cheaper baseline. */
function countedAnew(state: SessionState | null, ratio: TokenizerRatio): SessionState | null {
  if (state === null) return null;
  const counted = state.promptTokens;
  return { ...state, promptTokens: Math.max(counted, scaledTokens(counted, ratio)) };
}

/** What the request marked shows in what was kept; where nothing was, as it was known of the session before. */
function markedPermille(rules: CacheRules, usage: Usage, known: number): number {
  if (rules.mode !== 'explicit') return WHOLE_PERMILLE;
  const kept = keptTokens(usage);
  const prompt = promptTokens(usage);
  return kept === 0 || prompt === 0 ? known : Math.floor((kept * WHOLE_PERMILLE) / prompt);
}

function keptTokens(usage: Usage): number {
  return textPromptTokens(usage) - usage.inputTokens;
}
