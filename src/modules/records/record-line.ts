import type { CallRecord, StartRecord } from './call-record.js';

/*
 * A line of the spool: one letter and the record's JSON. `s` starts a call, `f` is a final record (or its
 * later revision).
 */
export type LineKind = 's' | 'f';

export type SpoolLine =
  | { readonly kind: 's'; readonly json: string; readonly record: StartRecord }
  | { readonly kind: 'f'; readonly json: string; readonly record: CallRecord };

/** Null where the line is none of the spool's. */
export function parseLine(line: string): SpoolLine | null {
  const kind = line.charAt(0);
  if (kind !== 's' && kind !== 'f') return null;
  const json = line.slice(1);
  try {
    return { kind, json, record: JSON.parse(json) as never };
  } catch {
    // The frame was authentic, so this is a line of a version of the format that is not ours.
    return null;
  }
}

/**
 * The record's JSON within `maxChars`: a record that is too long leaves out what only describes it and
 * keeps what accounts for it. Null where even that is too long, or where it is no JSON value.
 */
export function recordJson(
  record: StartRecord | CallRecord,
  maxChars: number,
): { readonly json: string; readonly trimmed: boolean } | null {
  try {
    const json = JSON.stringify(record);
    if (json.length <= maxChars) return { json, trimmed: false };
    const trimmed = 'revision' in record ? JSON.stringify(withoutDescription(record)) : json;
    return trimmed.length <= maxChars ? { json: trimmed, trimmed: true } : null;
  } catch {
    // A BigInt or a cycle slipped past the types; the caller of the hot path must not see it thrown.
    return null;
  }
}

function withoutDescription(record: CallRecord): CallRecord {
  return {
    ...record,
    classification: null,
    customer_id: null,
    tags: [],
    upstream_request_id: null,
    routing: null,
  };
}

/** What is known of a call whose process ended before it did. Nothing is assumed about its usage. */
export function interruptedRecord(start: StartRecord): CallRecord {
  return {
    ...start,
    revision: 0,
    outcome: 'interrupted',
    status_code: null,
    error_code: null,
    failure_class: null,
    served_model: null,
    metering: 'unmetered',
    unmetered_reason: 'interrupted',
    usage: null,
    service_tier: null,
    speed: null,
    region: null,
    pricing: 'not_applicable',
    unpriceable_reason: null,
    price_version: null,
    frozen_prices: null,
    cost_nano_usd: null,
    baseline_cost_nano_usd: null,
    projected_model: null,
    projected_cost_nano_usd: null,
    session_key: null,
    route_class: null,
    classification: null,
    customer_id: null,
    tags: [],
    latency_ms: null,
    time_to_first_byte_ms: null,
    tokens_per_second: null,
    request_bytes: 0,
    response_bytes: 0,
    client_retry: 0,
    upstream_request_id: null,
    routing: null,
  };
}
