import type { AppConfig } from './config/app-config.js';
import { createAccounts } from './modules/accounts/create-accounts.js';
import { ApiKeyService } from './modules/api-keys/api-key.service.js';
import { AuditHeads } from './modules/audit/audit-heads.js';
import { AuditTrail } from './modules/audit/audit-trail.js';
import { AuditVerifier } from './modules/audit/audit-verifier.js';
import { createBilling } from './modules/billing/create-billing.js';
import { ongoingCharge } from './modules/billing/payment-standing.js';
import { NegotiatedPriceService } from './modules/catalog/negotiated-price.service.js';
import { LatePrices } from './modules/ledger/late-prices.js';
import { LedgerExport } from './modules/ledger/ledger-csv.js';
import { LedgerHeads } from './modules/ledger/ledger-heads.js';
import { LedgerSealer } from './modules/ledger/ledger-sealer.js';
import { LedgerVerifier } from './modules/ledger/ledger-verifier.js';
import { createMail } from './modules/mail/create-mail.js';
import { DeletionService } from './modules/leaving/deletion.service.js';
import { OrganizationExport } from './modules/leaving/organization-export.js';
import { OperatorSessions } from './modules/operators/operator-sessions.js';
import { OperatorSignIn } from './modules/operators/operator-sign-in.js';
import { OperatorService } from './modules/operators/operator.service.js';
import { createObservation } from './modules/observation/create-observation.js';
import { OrganizationService } from './modules/organizations/organization.service.js';
import { UserService } from './modules/organizations/user.service.js';
import { ProjectService } from './modules/projects/project.service.js';
import { ProviderKeyService } from './modules/provider-keys/provider-key.service.js';
import { createReports } from './modules/reports/create-reports.js';
import { RequestLog } from './modules/records/request-log.js';
import { RouteRuleService } from './modules/routing/route-rule.service.js';
import { RoutingControl } from './modules/subscriptions/routing-control.service.js';
import type { Clock } from './platform/clock.js';
import { Signer } from './platform/crypto/signer.js';
import type { SecretBox } from './platform/crypto/secret-box.js';
import type { Database } from './platform/postgres/database.js';
import type { Logger } from './platform/telemetry/logger.js';

export interface ServicesContext {
  readonly config: AppConfig;
  readonly database: Database;
  /**
   * For sums, reports and exports, which may be slow: they must not take the connections that signing in and the kill
   * switch need. The same database where there is one caller alone.
   */
  readonly readings?: Database;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type Services = ReturnType<typeof createServices>;

/** The business, wired once: what the dashboard, the admin API, the jobs and the command line work with. */
export function createServices(context: ServicesContext) {
  const { config, database, secretBox, clock, logger, readings = database } = context;
  const signer = new Signer(config.secrets.signingKey);
  const auditHeads = new AuditHeads(database, signer, clock);
  const billing = createBilling({ config, database, readings, clock, logger, auditHeads });
  const accounts = createAccounts({ database, secretBox, clock, logger });
  return {
    ...createMail({ config, database, secretBox, clock, logger }),
    ...accounts,
    organizations: new OrganizationService(database, secretBox, clock),
    users: new UserService(database),
    projects: new ProjectService(database, clock),
    apiKeys: new ApiKeyService(database, clock),
    providerKeys: new ProviderKeyService(database, secretBox, clock),
    negotiatedPrices: new NegotiatedPriceService(database, clock),
    requestLog: new RequestLog(readings),
    auditTrail: new AuditTrail(database),
    auditHeads,
    organizationExport: new OrganizationExport(readings, clock, auditHeads),
    auditVerifier: new AuditVerifier(readings),
    ledgerSealer: new LedgerSealer(database, signer, clock, logger),
    latePrices: new LatePrices(database, clock, logger),
    ledgerHeads: new LedgerHeads(database, signer.publicKey),
    ledgerVerifier: new LedgerVerifier(readings, signer.publicKey),
    ledgerExport: new LedgerExport(readings, signer, clock),
    operators: new OperatorService(database, secretBox, clock),
    operatorSessions: new OperatorSessions(database, clock),
    operatorSignIn: new OperatorSignIn(database, secretBox, clock, accounts.failedSignIns, logger),
    deletions: new DeletionService(database, clock, logger, ongoingCharge(config.paddle)),
    routingControl: new RoutingControl(database, clock),
    routeRules: new RouteRuleService(database, clock),
    ...createReports({ database: readings, clock, signer }),
    ...billing,
    ...createObservation({
      database,
      readings,
      clock,
      subscriptions: billing.subscriptions,
      logger,
    }),
  };
}
