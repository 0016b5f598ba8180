import type { RouteDecision, RoutingInputs } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Exclusion, LedgerEntry } from '../../domain/savings/ledger-entry.js';
import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import type { StoredUnpriced } from '../ledger/late-rating.js';
import type { Operation } from '../providers/wire-format.js';
import type { UnmeteredReason } from '../metering/usage-report.js';

/** How long a record is kept; fixed at write, and a partition of `request_log` of its own. */
export const RETENTION_CLASSES = ['d30', 'd90', 'd400'] as const;
export type RetentionClass = (typeof RETENTION_CLASSES)[number];

export type Decision =
  'passthrough' | 'classifier' | 'session' | 'override' | 'control' | 'abstain' | 'fallback';

/** What became of a call. `refused`: by Shunt, before any upstream call. `interrupted`: this process died. */
export type Outcome =
  | 'completed'
  | 'refused'
  | 'upstream_error'
  | 'upstream_failed'
  | 'client_aborted'
  | 'truncated'
  | 'interrupted';

/**
 * Written before the upstream call: enough to account for the call if the process dies.
 * Field names are the columns of `request_log`. No field may hold content.
 */
export interface StartRecord {
  /** UUIDv7; `started_at_ms` is the time inside it. */
  readonly request_id: string;
  readonly started_at_ms: number;
  readonly org_id: string;
  readonly project_id: string;
  readonly api_key_id: string;
  readonly retention_class: RetentionClass;
  readonly provider: Provider;
  readonly operation: Operation;
  /** As the client asked, cut to 200 characters; null where the operation has no model. */
  readonly requested_model: string | null;
  readonly streamed: boolean;
  readonly decision: Decision;
  readonly mode: SubscriptionStatus;
  /** Answered by the sandbox: left out of every sum by default. */
  readonly synthetic: boolean;
}

/** One row of `request_log`, and what travels with it. Amounts are decimal strings of integer nano-USD (JSON has no bigint). */
export interface CallRecord extends StartRecord {
  /** 0 = interrupted (made at replay), 1 = final, 2 = final with an estimate. A higher revision replaces a lower one. */
  readonly revision: 0 | 1 | 2;
  readonly outcome: Outcome;
  readonly status_code: number | null;
  /** Shunt's own stable error code, where Shunt made the error. */
  readonly error_code: string | null;
  readonly failure_class: string | null;
  /** The model that answered, as the provider named it. */
  readonly served_model: string | null;
  readonly metering: 'reported' | 'estimated' | 'unmetered' | 'not_applicable';
  readonly unmetered_reason: UnmeteredReason | null;
  /** The `Usage` vector of domain/pricing, zero fields left out; null unless metered. */
  readonly usage: Readonly<Record<string, number>> | null;
  readonly service_tier: string | null;
  readonly speed: string | null;
  readonly region: string | null;
  readonly pricing: 'priced' | 'unpriceable' | 'not_applicable';
  readonly unpriceable_reason: string | null;
  readonly price_version: string | null;
  /** The unit prices used, nano-USD per million units, as decimal strings by dimension. */
  readonly frozen_prices: Readonly<Record<string, string>> | null;
  readonly cost_nano_usd: string | null;
  readonly baseline_cost_nano_usd: string | null;
  readonly projected_model: string | null;
  readonly projected_cost_nano_usd: string | null;
  /** Keyed hashes, meaningless without the organization's key. */
  readonly session_key: string | null;
  readonly route_class: string | null;
  /** The classifier's verdict and its reasons: closed words and numbers only. */
  readonly classification: Readonly<Record<string, unknown>> | null;
  readonly customer_id: string | null;
  readonly tags: readonly string[];
  readonly latency_ms: number | null;
  readonly time_to_first_byte_ms: number | null;
  readonly tokens_per_second: number | null;
  readonly request_bytes: number;
  readonly response_bytes: number;
  /** `x-stainless-retry-count` of the client's SDK. */
  readonly client_retry: number;
  /** The provider's own id of the request, from its response headers. */
  readonly upstream_request_id: string | null;
  /** What the router knew and what it decided, to be decided again offline; null where it was not asked. */
  readonly routing?: StoredRouting | null;
  /**
   * The call's entries of the savings ledger, stored in the transaction that stores the record, each once. A later
   * revision repeats those of the one before: of two that wait together only the later is written.
   */
  readonly ledger?: readonly LedgerEntry[];
  /** What an entry needs beside its prices, of a routed call that had none; kept apart until they are learned. */
  readonly unpriced?: StoredUnpriced;
}

export interface StoredRouting {
  readonly inputs: RoutingInputs;
  readonly decision: RouteDecision;
  /** Why the call has no `routed` entry; absent where it has one, and where its accounting failed. */
  readonly excluded?: Exclusion;
  /**
   * Failed attempts that may have cost something that no entry states: the call's cost is known without them only.
   * Absent where there are none.
   */
  readonly unknownCostAttempts?: number;
}

/** The fields of a record that are columns of `request_log`. */
export type RecordColumn = Exclude<keyof CallRecord, 'ledger' | 'unpriced'>;
