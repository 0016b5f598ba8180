import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import type { SubscriptionService } from '../subscriptions/subscription.service.js';
import { ActivationService } from './activation.service.js';
import { ObservationFunnel } from './observation-funnel.js';
import { ObservationService } from './observation.service.js';
import { ReportService } from './report.service.js';

export interface ObservationContext {
  readonly database: Database;
  /** For reports, which may be slow. */
  readonly readings: Database;
  readonly clock: Clock;
  readonly subscriptions: SubscriptionService;
  readonly logger: Logger;
}

/** The observation, its reports, and the activation that they lead to, wired once. */
export function createObservation({
  database,
  readings,
  clock,
  subscriptions,
  logger,
}: ObservationContext) {
  return {
    observationFunnel: new ObservationFunnel(database, clock, subscriptions, logger),
    observations: new ObservationService(database, clock),
    reports: new ReportService(readings, clock),
    activations: new ActivationService(database, clock, subscriptions),
  };
}
