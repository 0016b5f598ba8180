import type { Provider } from '../routing/provider.js';

/**
 * `routed`: the router's own decision served the call. `failed_attempt`: an attempt that failed before the one that
 * served, and cost something. `evaluation`: what evidence cost. `adjustment`: a correction of an earlier entry, such
 * as a price learned late. Unique by organization, request, kind and attempt.
 */
export const LEDGER_KINDS = ['routed', 'failed_attempt', 'evaluation', 'adjustment'] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

/** Where a routed call's decision came from. */
export type DecisionSource = 'classifier' | 'session' | 'fallback';

/**
 * One fact about money, complete in itself: both amounts follow from the usage and the unit prices that stand beside
 * them. Field names are the columns of `savings_ledger`; amounts are decimal strings of integer nano-USD, usage and
 * prices as in a call record (price-record.ts). No field names a customer or holds content.
 */
export interface LedgerEntry {
  readonly org_id: string;
  readonly request_id: string;
  readonly kind: LedgerKind;
  /** 0 for the first attempt; counts up over attempts, or over adjustments of the same request. */
  readonly attempt: number;
  readonly at_ms: number;
  readonly project_id: string;
  /** By the sandbox: left out of every sum by default. */
  readonly synthetic: boolean;
  /** The client asked for `shunt/auto`: reported on a line of its own. */
  readonly auto: boolean;
  readonly decision_source: DecisionSource;
  /** Names the decision whose inputs are stored with the call's record: its request id, and the version of the rules. */
  readonly decision_id: string;
  readonly baseline_provider: Provider;
  readonly baseline_model: string;
  readonly served_provider: Provider;
  readonly served_model: string;
  readonly usage: Readonly<Record<string, number>>;
  readonly served_prices: Readonly<Record<string, string>>;
  readonly served_price_version: string;
  readonly actual_nano_usd: string;
  /** Empty for a failed attempt, whose baseline is nothing: it can only cost. */
  readonly baseline_usage: Readonly<Record<string, number>>;
  readonly baseline_method: string;
  readonly baseline_prices: Readonly<Record<string, string>>;
  readonly baseline_price_version: string;
  readonly baseline_nano_usd: string;
  /** Baseline minus actual; negative where routing cost more. */
  readonly savings_nano_usd: string;
}

/** Why a call of a routing organization has no `routed` entry. Counted in reports, never summed as 0. */
export const EXCLUSIONS = [
  'passthrough',
  'override',
  'control',
  'abstain',
  'estimated',
  'unmetered',
  'unpriceable',
  'failed',
] as const;
export type Exclusion = (typeof EXCLUSIONS)[number];
