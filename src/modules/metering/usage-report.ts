import type { Usage } from '../../domain/pricing/usage.js';

/** What a provider said about one call: its usage and the terms on which it is priced. */
export interface UsageReport {
  readonly usage: Usage;
  /** The model that answered, where the answer names it; it is the one that is priced. */
  readonly answeringModel: string | null;
  /** The provider's own word (`default`, `flex`, `priority`, `batch`, ...), null where it said nothing. */
  readonly serviceTier: string | null;
  readonly speed: string | null;
  readonly region: string | null;
}

/** Why a call has no usage. Unknown is counted as unknown, never as zero. */
export type UnmeteredReason =
  /** The process ended before the call did. */
  | 'interrupted'
  /** The provider answered without usage. */
  | 'not_reported'
  /** The answer could not be read: not JSON, an unknown content encoding, over the bound. */
  | 'unreadable'
  /** The provider answered with an error, or could not be reached: nothing is known to have been used. */
  | 'failed'
  /** The stream ended, or was aborted, before usage arrived; an estimate may replace this. */
  | 'cut_short';
