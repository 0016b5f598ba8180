import type { MigrationInterface } from 'typeorm';
import { Tenancy1763600000000 } from '../../../migrations/1763600000000-tenancy.js';
import { RequestLog1763600100000 } from '../../../migrations/1763600100000-request-log.js';
import { PriceVersions1763600200000 } from '../../../migrations/1763600200000-price-versions.js';
import { AuditLog1763700000000 } from '../../../migrations/1763700000000-audit-log.js';
import { Subscriptions1763700100000 } from '../../../migrations/1763700100000-subscriptions.js';
import { Outbox1763700200000 } from '../../../migrations/1763700200000-outbox.js';
import { Accounts1763700300000 } from '../../../migrations/1763700300000-accounts.js';
import { Observation1763700500000 } from '../../../migrations/1763700500000-observation.js';
import { Billing1763700600000 } from '../../../migrations/1763700600000-billing.js';
import { Operators1763700700000 } from '../../../migrations/1763700700000-operators.js';
import { Leaving1763700800000 } from '../../../migrations/1763700800000-leaving.js';
import { SavingsLedger1763800000000 } from '../../../migrations/1763800000000-savings-ledger.js';
import { Routing1763800100000 } from '../../../migrations/1763800100000-routing.js';
import { Reports1763800200000 } from '../../../migrations/1763800200000-reports.js';
import { LatePrices1763910000000 } from '../../../migrations/1763910000000-late-prices.js';
import { ResealedInvitations1763920000000 } from '../../../migrations/1763920000000-resealed-invitations.js';
import { ConfirmedAddresses1763930000000 } from '../../../migrations/1763930000000-confirmed-addresses.js';

/** Every migration, oldest first. A list and not a glob: what is built is what runs. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  Tenancy1763600000000,
  RequestLog1763600100000,
  PriceVersions1763600200000,
  AuditLog1763700000000,
  Subscriptions1763700100000,
  Outbox1763700200000,
  Accounts1763700300000,
  Observation1763700500000,
  Billing1763700600000,
  Operators1763700700000,
  Leaving1763700800000,
  SavingsLedger1763800000000,
  Routing1763800100000,
  Reports1763800200000,
  LatePrices1763910000000,
  ResealedInvitations1763920000000,
  ConfirmedAddresses1763930000000,
];
