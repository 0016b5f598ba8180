import type { Provider } from '../../domain/routing/provider.js';
import { isSet, objectOf } from '../../modules/classifier/json-shapes.js';
import { estimatedUsage, type TokenEstimate } from '../../modules/metering/estimate.js';
import type { UnmeteredReason, UsageReport } from '../../modules/metering/usage-report.js';
import { readUsage } from '../../modules/metering/usage/read-usage.js';
import type { Operation, WireFormat } from '../../modules/providers/wire-format.js';
import type { AnswerFindings } from '../answer/answer-reader.js';
import type { Planned } from '../call.js';
import { modelName } from './model-name.js';
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
  const { route, req } = call;
  const { findings } = settlement;
  const isRead = route.operation === 'other' && BODILESS.has(req.method ?? '');
  if (FREE.has(route.operation) || isRead) return { kind: 'not_applicable' };
  const isCut = wasCut(call, settlement);
  if (findings !== null && findings.usageEvents.length > 0) {
    const { provider } = settlement.attempt;
    const report = readReport(route.format, provider, findings.usageEvents);
    if (report !== null) {
      return { kind: isCut && !isFinal(route.format, findings) ? 'estimated' : 'reported', report };
    }
  }
  if (isCut) return { kind: 'unmetered', reason: 'cut_short' };
  if (findings === null || isFailure(settlement)) return { kind: 'unmetered', reason: 'failed' };
  return { kind: 'unmetered', reason: findings.unreadable ? 'unreadable' : 'not_reported' };
}

/** What an answer says it used, its model by the name that it has in decisions. */
export function readReport(
  format: WireFormat,
  provider: Provider,
  events: readonly unknown[],
): UsageReport | null {
  const report = readUsage(format, provider, events);
  if (report === null || report.answeringModel === null) return report;
  return { ...report, answeringModel: modelName(provider, report.answeringModel) };
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE']);

/** The provider had begun to work, and its answer has no proper end; also where a stream ends in an error. */
function wasCut(call: Planned, settlement: Settlement): boolean {
  if (!settlement.sent || isFailure(settlement)) return false;
  const { outcome, findings } = settlement;
  return (
    outcome === 'client_aborted' ||
    outcome === 'truncated' ||
    (call.streamed && findings?.error !== undefined)
  );
}

/** The provider refused the call: nothing is known to have been used, unless its answer says so. */
function isFailure({ status }: Settlement): boolean {
  return status !== null && status >= 400;
}

/**
 * False where a cut stream's usage is what was used until then, at least: two formats report it as they go, and on
 * OpenAI's so does Gemini, chunk by chunk.
 */
function isFinal(format: WireFormat, { complete, usageEvents }: AnswerFindings): boolean {
  switch (format) {
    case 'anthropic_messages':
    case 'google_generate_content':
      return false;
    case 'openai_chat':
      return complete || isLastChunk(usageEvents.at(-1));
    default:
      return true;
  }
}

/** The chunk that has usage and no choices; or, at Groq and Gemini, the one in which every choice is finished. */
function isLastChunk(chunk: unknown): boolean {
  const { choices } = objectOf(chunk);
  return (
    Array.isArray(choices) && choices.every((choice) => isSet(objectOf(choice)['finish_reason']))
  );
}

/** The same with an estimate in the place of what the provider did not report; never enters the ledger. */
export function meterEstimate(
  { attempt }: Settlement,
  known: Metering,
  estimate: TokenEstimate,
): Metering {
  // Of the model that was asked in the end, whichever the client named.
  if (known.kind !== 'estimated')
    return { kind: 'estimated', report: estimatedUsage(attempt.model, estimate) };
  const { report } = known;
  const outputTokens = Math.max(report.usage.outputTokens, estimate.outputTokens);
  return { kind: 'estimated', report: { ...report, usage: { ...report.usage, outputTokens } } };
}
