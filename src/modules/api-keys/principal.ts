import type { KeyObject } from 'node:crypto';
import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import type { AllowList } from '../../domain/policy/allow-lists.js';
import type { Target } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { RetentionClass } from '../records/call-record.js';
import type { Standing } from './standing.js';

/** A provider key as it is kept: sealed with AES-256-GCM, bound to organization and provider. */
export interface SealedProviderKey {
  readonly id: string;
  readonly provider: Provider;
  readonly sealed: Buffer;
}

/** A rule that an owner or admin set by hand, in the form that a call looks it up in. */
export interface RouteRule {
  readonly id: string;
  /** In the order of preference. */
  readonly targets: readonly Target[];
}

/** What people set about routing for the calls of a key. */
export interface RoutingSettings {
  /** By route class; `*` is for every class without a rule of its own. */
  readonly rules: ReadonlyMap<string, RouteRule>;
  readonly crossProviderOptIn: readonly Provider[];
  readonly fallbackModels: readonly Target[];
  readonly optOut: boolean;
  /** Sessions that keep the requested model; hundredths of a percent. */
  readonly controlShareBp: number;
}

/**
 * The authenticated caller, with everything the hot path must know about it; frozen (but for the organization's
 * standing), shared by concurrent calls.
 */
export interface Principal {
  readonly apiKeyId: string;
  readonly orgId: string;
  readonly projectId: string;
  /** Live: the same object for every key of the organization, changed in place. */
  readonly standing: Standing;
  readonly retentionClass: RetentionClass;
  /** Calls per minute that an operator set for the organization; null takes the default. */
  readonly requestsPerMinute: number | null;
  readonly orgAllow: AllowList;
  readonly projectAllow: AllowList;
  /** Relayed paths beyond the default ones, such as `openai:/files*`. */
  readonly allowedPaths: readonly string[];
  readonly projectDisabled: boolean;
  /** `strict` projects are never touched: no usage injection. */
  readonly strict: boolean;
  readonly bodyLimitBytes: number | null;
  readonly defaultModel: string | null;
  readonly routing: RoutingSettings;
  readonly providerKeys: Readonly<Partial<Record<Provider, SealedProviderKey>>>;
  /** The organization's agreements that can still price a call, of any model and day; at most 1,000. */
  readonly negotiatedPrices: readonly NegotiatedPrices[];
  /** True for the first organization outside production, as long as it has no provider key. */
  readonly sandbox: boolean;
  /** The organization's random key for hashes of sessions, classes and templates. */
  readonly hashKey: KeyObject;
}

export type Authentication =
  | { readonly kind: 'known'; readonly principal: Principal }
  /** Revoked or expired: the answer is 401, also while the database is away. */
  | { readonly kind: 'revoked' }
  | { readonly kind: 'unknown' }
  /** The key is not in memory and the database cannot be asked: the answer is 503, never 401. */
  | { readonly kind: 'unavailable' };
