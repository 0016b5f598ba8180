import { pricesToRecord, usageToRecord } from '../../domain/pricing/price-record.js';
import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { VersionedRating } from '../../modules/catalog/price-book.js';
import type {
  CallRecord,
  Decision,
  Outcome,
  StartRecord,
  StoredRouting,
} from '../../modules/records/call-record.js';
import type { Shadow } from '../../modules/classifier/shadow.js';
import type { Routing } from '../../modules/routing/routing-request.js';
import type { Attempt, Authenticated, Planned } from '../call.js';
import type { ErrorCode } from '../gateway-error.js';
import type { Metering } from './meter.js';
import type { Savings } from './savings.js';

/** How a call ended, as far as its own answer goes. */
export interface Ending {
  readonly outcome: Outcome;
  readonly status: number | null;
  readonly errorCode: ErrorCode | null;
  readonly failureClass: FailureClass | null;
  readonly upstreamRequestId: string | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Milliseconds since the call came in; null where no byte came. */
  readonly timeToFirstByteMs: number | null;
  readonly latencyMs: number;
  readonly synthetic: boolean;
  /** Whose answer it is; null where nothing was sent anywhere. */
  readonly attempt: Attempt | null;
  readonly decision: Decision;
}

/** What a call cost: served, and as it would have been routed. */
export interface Ratings {
  readonly served: VersionedRating | null;
  readonly projected: VersionedRating | null;
}

export function startRecord(call: Planned): StartRecord {
  return {
    ...identity(call),
    requested_model: named(call.model),
    streamed: call.streamed,
    decision: call.decision,
    provider: call.attempt.provider,
    synthetic: call.attempt.upstream.synthetic,
  };
}

/** The record of a call that Shunt refused: it used nothing. */
export function refusalRecord(call: Authenticated, ending: Ending): CallRecord {
  return {
    ...identity(call),
    requested_model: named(call.route.pathModel),
    streamed: false,
    decision: 'passthrough',
    synthetic: ending.synthetic,
    ...endingColumns(call, ending),
    ...NOTHING_METERED,
    ...NOTHING_PROJECTED,
    revision: 1,
    metering: 'not_applicable',
    unmetered_reason: null,
    pricing: 'not_applicable',
  };
}

export function finalRecord(
  call: Planned,
  ending: Ending,
  metering: Metering,
  ratings: Ratings,
  shadow: Shadow | null,
  savings: Savings | null,
): CallRecord {
  const { routing } = call;
  return {
    ...startRecord(call),
    ...endingColumns(call, ending),
    ...meteringColumns(call, ending, metering),
    ...ratingColumns(metering, ratings, savings),
    ...shadowColumns(shadow, metering, ratings.projected, sentElsewhere(call, ending)),
    revision: 1,
    // Of another provider, where the call went there: cost and usage are that one's.
    provider: ending.attempt?.provider ?? call.route.provider,
    decision: ending.decision,
    synthetic: ending.synthetic,
    routing: routing === null ? null : storedRouting(routing, savings),
    ledger: savings?.entries ?? [],
    ...unpricedColumn(savings, metering),
  };
}

/** Nothing where the terms are no names: what is not kept of them is not known later, and is not taken for normal. */
function unpricedColumn(savings: Savings | null, metering: Metering): Pick<CallRecord, 'unpriced'> {
  if (savings?.unpriced === undefined || !('report' in metering)) return {};
  const { serviceTier, speed, region } = metering.report;
  if ([serviceTier, speed, region].some((word) => word !== named(word))) return {};
  return { unpriced: { ...savings.unpriced, service_tier: serviceTier, speed, region } };
}

function storedRouting({ inputs, decision }: Routing, savings: Savings | null): StoredRouting {
  const { exclusion = null, unknownCostAttempts = 0 } = savings ?? {};
  return {
    inputs,
    decision,
    ...(exclusion === null ? {} : { excluded: exclusion }),
    ...(unknownCostAttempts > 0 ? { unknownCostAttempts } : {}),
  };
}

function identity(call: Authenticated) {
  const { principal, route } = call;
  return {
    request_id: call.requestId,
    started_at_ms: call.startedAtMs,
    org_id: principal.orgId,
    project_id: principal.projectId,
    api_key_id: principal.apiKeyId,
    retention_class: principal.retentionClass,
    provider: route.provider,
    operation: route.operation,
    mode: call.mode,
  };
}

function endingColumns(call: Authenticated, ending: Ending) {
  return {
    outcome: ending.outcome,
    status_code: ending.status,
    error_code: ending.errorCode,
    failure_class: ending.failureClass,
    latency_ms: Math.round(ending.latencyMs),
    time_to_first_byte_ms:
      ending.timeToFirstByteMs === null ? null : Math.round(ending.timeToFirstByteMs),
    request_bytes: ending.requestBytes,
    response_bytes: ending.responseBytes,
    upstream_request_id: named(ending.upstreamRequestId),
    client_retry: retryCount(call.req.headers['x-stainless-retry-count']),
  };
}

const NOTHING_METERED = {
  served_model: null,
  usage: null,
  service_tier: null,
  speed: null,
  region: null,
  tokens_per_second: null,
  unpriceable_reason: null,
  price_version: null,
  frozen_prices: null,
  cost_nano_usd: null,
  baseline_cost_nano_usd: null,
} as const;

const NOTHING_PROJECTED = {
  projected_model: null,
  projected_cost_nano_usd: null,
  session_key: null,
  route_class: null,
  classification: null,
  customer_id: null,
  tags: [],
} as const;

function meteringColumns(call: Planned, ending: Ending, metering: Metering) {
  if (metering.kind === 'unmetered' || metering.kind === 'not_applicable') {
    return {
      ...NOTHING_METERED,
      metering: metering.kind,
      unmetered_reason: metering.kind === 'unmetered' ? metering.reason : null,
    };
  }
  const { report } = metering;
  return {
    metering: metering.kind,
    unmetered_reason: null,
    served_model: named(report.answeringModel ?? ending.attempt?.model ?? null),
    usage: usageToRecord(report.usage),
    service_tier: named(report.serviceTier),
    speed: named(report.speed),
    region: named(report.region),
    tokens_per_second: call.streamed ? tokensPerSecond(report.usage.outputTokens, ending) : null,
  };
}

function ratingColumns(metering: Metering, { served }: Ratings, savings: Savings | null) {
  if (served === null || (metering.kind !== 'reported' && metering.kind !== 'estimated')) {
    return {
      ...UNPRICED,
      pricing: 'not_applicable' as const,
      unpriceable_reason: null,
      price_version: null,
    };
  }
  if (served.kind === 'unpriceable') {
    return {
      ...UNPRICED,
      pricing: 'unpriceable' as const,
      unpriceable_reason: served.reason,
      price_version: served.priceVersion,
    };
  }
  const cost = served.costNanoUsd.toString();
  return {
    pricing: 'priced' as const,
    unpriceable_reason: null,
    price_version: served.priceVersion,
    frozen_prices: pricesToRecord(served.frozen),
    cost_nano_usd: cost,
    // Where the requested model served, or nothing is claimed, a call is its own baseline.
    baseline_cost_nano_usd: savings?.baselineNanoUsd ?? cost,
  };
}

const UNPRICED = {
  frozen_prices: null,
  cost_nano_usd: null,
  baseline_cost_nano_usd: null,
} as const;

function shadowColumns(
  shadow: Shadow | null,
  metering: Metering,
  projected: VersionedRating | null,
  elsewhere: string | null,
) {
  if (shadow === null) return NOTHING_PROJECTED;
  const answered = 'report' in metering ? metering.report.answeringModel : null;
  // Where the client named no model, the one that answered stays; what went to another one is projected as it went.
  const model =
    elsewhere === null
      ? (named(shadow.projectedModel) ?? named(answered))
      : named(answered ?? elsewhere);
  const isPriced = projected?.kind === 'priced' && model !== null;
  return {
    session_key: shadow.sessionKey,
    route_class: shadow.routeClass,
    classification: shadow.classification,
    customer_id: shadow.customerId,
    tags: shadow.tags,
    projected_model: model,
    projected_cost_nano_usd: isPriced ? projected.costNanoUsd.toString() : null,
  };
}

/** The model that a call was sent to instead of the one asked for; its projected cost is that model's. */
function sentElsewhere({ requested }: Planned, { attempt }: Ending): string | null {
  return attempt === null || attempt.model === requested ? null : attempt.model;
}

function tokensPerSecond(outputTokens: number, ending: Ending): number | null {
  const { timeToFirstByteMs, latencyMs } = ending;
  if (timeToFirstByteMs === null || latencyMs <= timeToFirstByteMs || outputTokens === 0)
    return null;
  return Math.round((outputTokens * 10_000) / (latencyMs - timeToFirstByteMs)) / 10;
}

const NAME = /^[\w.:/@+-]{1,200}$/;

/**
 * The names of models, tiers and ids, which clients and providers choose. What does not look like a name is not kept:
 * it might be anything, a prompt too.
 */
function named(text: string | null): string | null {
  return text !== null && NAME.test(text) ? text : null;
}

function retryCount(header: string | string[] | undefined): number {
  const count = typeof header === 'string' ? Number.parseInt(header, 10) : 0;
  return Number.isSafeInteger(count) && count > 0 ? Math.min(count, 1_000) : 0;
}
