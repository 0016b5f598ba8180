import { estimatedUsage, type TokenEstimate } from '../../modules/metering/estimate.js';
import type { UnmeteredReason, UsageReport } from '../../modules/metering/usage-report.js';
import { readUsage } from '../../modules/metering/usage/read-usage.js';
import type { Operation, WireFormat } from '../../modules/providers/wire-format.js';
import type { Planned } from '../call.js';
import type { Settlement } from './relay.js';

/** What a call used, or why that is not known. */
export type Metering =
  | { readonly kind: 'reported' | 'estimated'; readonly report: UsageReport }
  | { readonly kind: 'unmetered'; readonly reason: UnmeteredReason }
  /** Counting tokens and listing models cost nothing. */
  | { readonly kind: 'not_applicable' };

const FREE: ReadonlySet<Operation> = new Set(['count_tokens', 'models']);

/** Reads the usage out of an answer's findings. Where there is none, that is said and nothing is made up. */
export function meter(call: Planned, settlement: Settlement): Metering {
  const { route } = call;
  const { findings, outcome, status } = settlement;
  if (FREE.has(route.operation)) return { kind: 'not_applicable' };
  const isCut = outcome === 'client_aborted' || outcome === 'truncated';
  if (!isCut && (findings === null || status === null || status >= 400)) return FAILED;
  if (findings !== null && findings.usageEvents.length > 0) {
    const report = readUsage(route.format, route.provider, findings.usageEvents);
    if (report !== null)
      return { kind: isCut && isRunning(route.format) ? 'estimated' : 'reported', report };
  }
  if (isCut) return { kind: 'unmetered', reason: 'cut_short' };
  return {
    kind: 'unmetered',
    reason: findings?.unreadable === true ? 'unreadable' : 'not_reported',
  };
}

const FAILED: Metering = { kind: 'unmetered', reason: 'failed' };

/** Formats that report usage as they go: what a cut stream had reported is what was used until then, at least. */
function isRunning(format: WireFormat): boolean {
  return format === 'anthropic_messages' || format === 'google_generate_content';
}

/** The same with an estimate in the place of what the provider did not report; never enters the ledger. */
export function meterEstimate(call: Planned, known: Metering, estimate: TokenEstimate): Metering {
  if (known.kind !== 'estimated')
    return { kind: 'estimated', report: estimatedUsage(call.model, estimate) };
  const { report } = known;
  const outputTokens = Math.max(report.usage.outputTokens, estimate.outputTokens);
  return { kind: 'estimated', report: { ...report, usage: { ...report.usage, outputTokens } } };
}
