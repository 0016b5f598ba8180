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
} from '../../domain/savings/ledger-entries.js';
import type { DecisionSource, Exclusion, LedgerEntry } from '../../domain/savings/ledger-entry.js';
import { tokenizerRatio } from '../../domain/savings/tokenizer-ratio.js';
import { routesIn } from '../../domain/subscription/status.js';
import type { PriceBook, VersionedRating } from '../../modules/catalog/price-book.js';
import { readUsage } from '../../modules/metering/usage/read-usage.js';
import type { UsageReport } from '../../modules/metering/usage-report.js';
import { capabilitiesOf } from '../../modules/routing/model-capabilities/models.js';
import type { Routing } from '../../modules/routing/routing-request.js';
import { cacheRulesOf } from '../../modules/session-routing/cache-rules.js';
import type { Planned } from '../call.js';
import type { FailedAttempt } from './failed-attempt.js';
import type { Metering } from './meter.js';
import type { Settlement } from './relay.js';

/** What the ledger says of a call. */
export interface Savings {
  readonly entries: readonly LedgerEntry[];
  /** Why there is no `routed` entry; null where there is one, and for organizations that do not route. */
  readonly exclusion: Exclusion | null;
  /** What the requested model would have cost; null where that is what the call itself cost. */
  readonly baselineNanoUsd: string | null;
}

const NO_ENTRIES: readonly LedgerEntry[] = Object.freeze([]);

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
    return { entries: NO_ENTRIES, exclusion: exclusionOf(call), baselineNanoUsd: null };
  }
  const target = servedTarget(settlement, metering);
  const { requested } = routing.inputs;
  const failed = failedEntries(call, routing, settlement, prices);
  const isAnothers = target !== null && !sameTarget(asked(settlement), requested);
  if (target === null || !isAnothers || !wasRouted(call, routing)) {
    const isGivenUp = wasRouted(call, routing) && settlement.decision === 'fallback';
    const exclusion = isGivenUp ? 'failed' : exclusionOf(call);
    return { entries: failed, exclusion, baselineNanoUsd: null };
  }
  if (metering.kind !== 'reported') {
    const exclusion = metering.kind === 'estimated' ? 'estimated' : unmetered(settlement);
    return { entries: failed, exclusion, baselineNanoUsd: null };
  }
  if (!wasAnswered(settlement))
    return { entries: failed, exclusion: 'failed', baselineNanoUsd: null };
  if (settlement.failed.some((tried) => !tried.answered && !isOf(tried, requested))) {
    return { entries: failed, exclusion: 'unpriceable', baselineNanoUsd: null };
  }
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
    cache: baselineCache(routing, report.usage, ratio),
    rateBaseline: (usage) =>
      prices.rate({ ...termsOf(call, requested, target.provider, report), usage }),
  });
  if (accounted.kind === 'excluded') {
    return { entries: failed, exclusion: accounted.why, baselineNanoUsd: null };
  }
  const { entry } = accounted;
  return {
    entries: [...failed, entry],
    exclusion: null,
    baselineNanoUsd: entry.baseline_nano_usd,
  };
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

function isOf({ attempt: { provider, model } }: FailedAttempt, requested: Target): boolean {
  return model !== null && sameTarget({ provider, model }, requested);
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

/**
 * What attempts cost that Shunt made and the client did not ask for: those that went to another model than the
 * requested one. What the requested model charges for failing, it would have charged without Shunt.
 */
function failedEntries(
  call: Planned,
  routing: Routing,
  settlement: Settlement,
  prices: PriceBook,
): readonly LedgerEntry[] {
  if (settlement.failed.length === 0) return NO_ENTRIES;
  return settlement.failed.flatMap((failed) => {
    const { provider, model } = failed.attempt;
    if (model === null || sameTarget({ provider, model }, routing.inputs.requested)) return [];
    const report = usageOf(call, failed);
    if (report === null) return [];
    const tried = { provider, model: report.answeringModel ?? model };
    const { usage } = report;
    const entry = failedAttemptEntry({
      ...ledgerCall(call, routing, settlement),
      attempt: failed.attempt.number,
      tried,
      usage,
      rating: prices.rate({ ...termsOf(call, tried, provider, report), usage }),
    });
    return entry === null ? [] : [entry];
  });
}

function usageOf(call: Planned, { attempt, answer }: FailedAttempt): UsageReport | null {
  if (typeof answer !== 'object' || answer === null) return null;
  return readUsage(call.route.format, attempt.provider, [answer]);
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

/** The requested model's cache, had every call of the session gone there. */
function baselineCache(
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
    ratio,
    gapMs: held?.ageMs ?? 0,
    markedPermille: markedPermille(rules, usage, size.state?.markedPermille ?? 0),
  };
  return baselineCacheOf(held, call, rules).cache;
}

/** Marks of both lifetimes in one request: how much is under which is not known, and the shorter one costs less. */
function writtenAs(rules: CacheRules, usage: Usage): CacheRules {
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
  const kept =
    usage.cacheReadTokens +
    usage.cacheWrite5mTokens +
    usage.cacheWrite30mTokens +
    usage.cacheWrite1hTokens +
    usage.cacheWrite12hTokens;
  const prompt = promptTokens(usage);
  return kept === 0 || prompt === 0 ? known : Math.floor((kept * WHOLE_PERMILLE) / prompt);
}
