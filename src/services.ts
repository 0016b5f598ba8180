import type { AppConfig } from './config/app-config.js';
import { ApiKeyService } from './modules/api-keys/api-key.service.js';
import { AuditTrail } from './modules/audit/audit-trail.js';
import { NegotiatedPriceService } from './modules/catalog/negotiated-price.service.js';
import { OrganizationService } from './modules/organizations/organization.service.js';
import { UserService } from './modules/organizations/user.service.js';
import { ProjectService } from './modules/projects/project.service.js';
import { ProviderKeyService } from './modules/provider-keys/provider-key.service.js';
import { RequestLog } from './modules/records/request-log.js';
import { SubscriptionService } from './modules/subscriptions/subscription.service.js';
import type { Clock } from './platform/clock.js';
import type { SecretBox } from './platform/crypto/secret-box.js';
import type { Database } from './platform/postgres/database.js';
import type { Logger } from './platform/telemetry/logger.js';

export interface ServicesContext {
  readonly config: AppConfig;
  readonly database: Database;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type Services = ReturnType<typeof createServices>;

/** The business, wired once: what the dashboard, the admin API, the jobs and the command line work with. */
export function createServices({ database, secretBox, clock }: ServicesContext) {
  return {
    organizations: new OrganizationService(database, secretBox),
    users: new UserService(database),
    projects: new ProjectService(database),
    apiKeys: new ApiKeyService(database, clock),
    providerKeys: new ProviderKeyService(database, secretBox),
    negotiatedPrices: new NegotiatedPriceService(database),
    requestLog: new RequestLog(database),
    auditTrail: new AuditTrail(database),
    subscriptions: new SubscriptionService(database, clock, async () => 'off'),
  };
}
