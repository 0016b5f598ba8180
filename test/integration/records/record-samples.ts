import { randomBytes } from 'node:crypto';
import type { CallRecord, StartRecord } from '../../../src/modules/records/call-record.js';

export const ORG = '0193e2b0-0000-7000-8000-00000000000a';
export const OTHER_ORG = '0193e2b0-0000-7000-8000-00000000000b';
export const PROJECT = '0193e2b0-0000-7000-8000-0000000000aa';
export const API_KEY = '0193e2b0-0000-7000-8000-0000000000ff';

/** A UUIDv7 of that time; random unless a tail is given. */
export function requestIdAt(timeMs: number, tail?: number): string {
  const time = timeMs.toString(16).padStart(12, '0');
  const rest =
    tail === undefined ? randomBytes(8).toString('hex') : tail.toString(16).padStart(16, '0');
  const [a, b, c] = [rest.slice(0, 3), rest.slice(3, 6), rest.slice(4, 16)];
  return `${time.slice(0, 8)}-${time.slice(8)}-7${a}-8${b}-${c}`;
}

export function startOf(startedAtMs: number, changes: Partial<StartRecord> = {}): StartRecord {
  return {
    request_id: requestIdAt(startedAtMs),
    started_at_ms: startedAtMs,
    org_id: ORG,
    project_id: PROJECT,
    api_key_id: API_KEY,
    retention_class: 'd90',
    provider: 'openai',
    operation: 'chat',
    requested_model: 'gpt-5.1',
    streamed: true,
    decision: 'passthrough',
    mode: 'observing',
    synthetic: false,
    ...changes,
  };
}

export function finalOf(start: StartRecord, changes: Partial<CallRecord> = {}): CallRecord {
  return {
    ...start,
    revision: 1,
    outcome: 'completed',
    status_code: 200,
    error_code: null,
    failure_class: null,
    served_model: 'gpt-5.1-2025-11-13',
    metering: 'reported',
    unmetered_reason: null,
    usage: { inputTokens: 1_234, cacheReadTokens: 100, outputTokens: 300 },
    service_tier: 'default',
    speed: null,
    region: null,
    pricing: 'priced',
    unpriceable_reason: null,
    price_version: '2026-11-01',
    frozen_prices: { inputTokens: '1250000000', outputTokens: '10000000000' },
    cost_nano_usd: '4542500',
    baseline_cost_nano_usd: '4542500',
    projected_model: 'gpt-5-mini',
    projected_cost_nano_usd: '908500',
    session_key: 'b5bb9d8014a0f9b1d61e21e796d78dcc',
    route_class: '7d865e959b2466918c9863afca942d0f',
    classification: { gain: 0.12, words: 120, pinned: false },
    customer_id: 'customer-1',
    tags: ['checkout', 'eu'],
    latency_ms: 1_834,
    time_to_first_byte_ms: 300,
    tokens_per_second: 55.2,
    request_bytes: 4_812,
    response_bytes: 9_120,
    client_retry: 0,
    upstream_request_id: 'req_0123456789abcdef',
    routing: null,
    ...changes,
  };
}

/** What an unmetered final looks like: nothing known, nothing priced. */
export const UNMETERED = {
  metering: 'unmetered',
  unmetered_reason: 'cut_short',
  usage: null,
  pricing: 'not_applicable',
  price_version: null,
  frozen_prices: null,
  cost_nano_usd: null,
  baseline_cost_nano_usd: null,
} as const satisfies Partial<CallRecord>;
