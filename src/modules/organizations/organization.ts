import type { Provider } from '../../domain/routing/provider.js';
import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import type { RetentionClass } from '../records/call-record.js';

/** The tenant. */
export interface Organization {
  readonly id: string;
  readonly name: string;
  readonly status: SubscriptionStatus;
  /** Set by an operator's kill switch: nobody enables routing until an operator releases it. */
  readonly hold: boolean;
  readonly retentionClass: RetentionClass;
  readonly requestsPerMinute: number | null;
  readonly allowedProviders: readonly Provider[] | null;
  readonly allowedModels: readonly string[] | null;
  /** Sessions that keep the requested model, for comparison; hundredths of a percent. */
  readonly controlShareBp: number;
  readonly isFirst: boolean;
  readonly createdAt: Date;
}
