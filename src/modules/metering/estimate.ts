import { NO_USAGE } from '../../domain/pricing/usage.js';
import type { UsageReport } from './usage-report.js';

/** Tokens counted by Shunt itself, for answers that ended without the provider's count. */
export interface TokenEstimate {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** An estimate in the form of a report; it is for the model that the call was sent to, at the normal terms. */
export function estimatedUsage(model: string | null, estimate: TokenEstimate): UsageReport {
  return {
    usage: { ...NO_USAGE, inputTokens: estimate.inputTokens, outputTokens: estimate.outputTokens },
    answeringModel: model,
    serviceTier: null,
    speed: null,
    region: null,
  };
}
