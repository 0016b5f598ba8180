import { createSecretKey } from 'node:crypto';
import type { NegotiatedPrices } from '../../domain/pricing/negotiated-prices.js';
import type { Target } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { negotiatedPricesOf, type NegotiatedRow } from '../catalog/negotiated-prices.store.js';
import { hashKeyAad } from '../organizations/hash-key.js';
import type { RetentionClass } from '../records/call-record.js';
import type { AllowList } from '../../domain/policy/allow-lists.js';
import type { Authentication, Principal, RoutingSettings, SealedProviderKey } from './principal.js';
import type { Standings } from './standing.js';

export const REVOKED: Authentication = Object.freeze({ kind: 'revoked' });
export const UNKNOWN: Authentication = Object.freeze({ kind: 'unknown' });
export const UNAVAILABLE: Authentication = Object.freeze({ kind: 'unavailable' });

/** One row of the function `find_principal`. */
export interface PrincipalRow {
  readonly version: string;
  readonly api_key_id: string;
  readonly org_id: string;
  readonly project_id: string;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly status: SubscriptionStatus;
  readonly routing_hold: boolean;
  readonly retention_class: RetentionClass;
  readonly requests_per_minute: number | null;
  readonly org_providers: Provider[] | null;
  readonly org_models: string[] | null;
  readonly is_first: boolean;
  readonly hash_key_sealed: Buffer | null;
  readonly control_share_bp: number;
  readonly project_disabled: boolean;
  readonly strict: boolean;
  readonly default_model: string | null;
  readonly body_limit_bytes: number | null;
  readonly project_providers: Provider[] | null;
  readonly project_models: string[] | null;
  readonly allowed_paths: string[];
  readonly cross_provider_opt_in: Provider[];
  readonly fallback_models: readonly Target[];
  readonly routing_opt_out: boolean;
  readonly route_rules: readonly { id: string; route_class: string; targets: readonly Target[] }[];
  readonly provider_keys: readonly { id: string; provider: Provider; sealed: string }[];
  readonly negotiated_prices: readonly NegotiatedRow[];
}

/** A key that is in memory: its answer, and until when and up to which change of its organization that holds. */
export interface KnownKey {
  readonly orgId: string;
  /** Made older than every other where the database's own counter began anew. */
  version: number;
  /** Infinity for a key without an end. */
  readonly expiresAtMs: number;
  readonly answer: Authentication;
  /** As it was read, for the snapshot on disk; null where the key is gone, or nothing of it may be kept. */
  readonly row: PrincipalRow | null;
}

export interface PrincipalTerms {
  readonly secretBox: SecretBox;
  readonly production: boolean;
  readonly standings: Standings;
}

/** Throws a `SecretBoxError` where the organization's key cannot be opened. */
export function knownKeyOf(row: PrincipalRow, terms: PrincipalTerms): KnownKey {
  const { hash_key_sealed: hashKeySealed } = row;
  const about = {
    orgId: row.org_id,
    version: Number(row.version),
    expiresAtMs: row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY,
  };
  // Without its hash key an organization was shredded: nothing may be recorded for it any more.
  if (hashKeySealed === null) return { ...about, answer: REVOKED, row: null };
  if (row.revoked_at !== null) return { ...about, answer: REVOKED, row };
  const principal = principalOf(row, hashKeySealed, terms);
  return { ...about, answer: Object.freeze({ kind: 'known', principal }), row };
}

function principalOf(row: PrincipalRow, hashKeySealed: Buffer, terms: PrincipalTerms): Principal {
  const hashKey = terms.secretBox.open(hashKeySealed, hashKeyAad(row.org_id));
  return Object.freeze({
    apiKeyId: row.api_key_id,
    orgId: row.org_id,
    projectId: row.project_id,
    standing: terms.standings.of({
      orgId: row.org_id,
      version: Number(row.version),
      status: row.status,
      hold: row.routing_hold,
    }),
    retentionClass: row.retention_class,
    requestsPerMinute: row.requests_per_minute,
    orgAllow: allowLists(row.org_providers, row.org_models),
    projectAllow: allowLists(row.project_providers, row.project_models),
    allowedPaths: Object.freeze(row.allowed_paths),
    projectDisabled: row.project_disabled,
    strict: row.strict,
    bodyLimitBytes: row.body_limit_bytes,
    defaultModel: row.default_model,
    routing: routingSettings(row),
    providerKeys: Object.freeze(Object.fromEntries(row.provider_keys.map(sealedKey))),
    negotiatedPrices: negotiatedPrices(row.negotiated_prices),
    sandbox: row.is_first && !terms.production && row.provider_keys.length === 0,
    hashKey: createSecretKey(hashKey),
  });
}

function routingSettings(row: PrincipalRow): RoutingSettings {
  const rules = row.route_rules.map(
    ({ id, route_class: routeClass, targets }) =>
      [routeClass, Object.freeze({ id, targets })] as const,
  );
  return Object.freeze({
    rules: new Map(rules),
    crossProviderOptIn: Object.freeze(row.cross_provider_opt_in),
    fallbackModels: Object.freeze(row.fallback_models),
    optOut: row.routing_opt_out,
    controlShareBp: row.control_share_bp,
  });
}

function allowLists(providers: Provider[] | null, models: string[] | null): AllowList {
  return Object.freeze({
    providers: providers && Object.freeze(providers),
    models: models && Object.freeze(models),
  });
}

const NO_AGREEMENTS: readonly NegotiatedPrices[] = Object.freeze([]);

/**
 * The table's checks admit nothing but what a newer version may have added. That is left out, and such calls are
 * priced by the list: an agreement that cannot be read must not keep its organization from calling.
 */
function negotiatedPrices(rows: readonly NegotiatedRow[]): readonly NegotiatedPrices[] {
  if (rows.length === 0) return NO_AGREEMENTS;
  return Object.freeze(rows.map(negotiatedPricesOf).filter((agreement) => agreement !== null));
}

function sealedKey(key: PrincipalRow['provider_keys'][number]): [Provider, SealedProviderKey] {
  const sealed = Buffer.from(key.sealed, 'base64');
  return [key.provider, Object.freeze({ id: key.id, provider: key.provider, sealed })];
}
