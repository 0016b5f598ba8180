import type { AppConfig } from '../../config/app-config.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import type { AuditHeads } from '../audit/audit-heads.js';
import { SubscriptionService } from '../subscriptions/subscription.service.js';
import { BillingAccountService } from './billing-account.service.js';
import { BillingService } from './billing.service.js';
import type { PaddleApi } from './paddle-api.js';
import { PaddleClient } from './paddle-client.js';
import { paymentStanding } from './payment-standing.js';
import { PlanLimitService } from './plan-limit.service.js';

export interface BillingContext {
  readonly config: Pick<AppConfig, 'paddle'>;
  readonly database: Database;
  /** For counting calls; the same database where there is one caller alone. */
  readonly readings?: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly auditHeads: Pick<AuditHeads, 'signedWithin'> | null;
}

/** Subscriptions and what is paid for them, wired once. */
export function createBilling(context: BillingContext) {
  const { config, database, readings = database, clock, logger, auditHeads } = context;
  const paddle: PaddleApi | null = config.paddle && new PaddleClient(config.paddle);
  const subscriptions = new SubscriptionService(
    database,
    clock,
    paymentStanding(config.paddle),
    auditHeads,
  );
  const planLimits = new PlanLimitService(database, readings, clock);
  return {
    subscriptions,
    planLimits,
    billing: new BillingService(database, clock, subscriptions, paddle, planLimits, logger),
    billingAccount: new BillingAccountService(database, clock, paddle, planLimits),
  };
}
