import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { AuditTrail } from '../audit/audit-trail.js';
import { CountedEntries } from '../audit/counted-entries.js';
import { OrganizationService } from '../organizations/organization.service.js';
import { AccountService } from './account.service.js';
import { AccountSweeper } from './account-sweeper.js';
import { AddressService } from './address.service.js';
import { FormDelays } from './form-delays.js';
import { InvitationService } from './invitation.service.js';
import { MemberAccessService } from './member-access.service.js';
import { MemberService } from './member.service.js';
import { PasswordService } from './password.service.js';
import { SessionService } from './session.service.js';
import { SignInService } from './sign-in.service.js';
import { SignUpService } from './sign-up.service.js';
import { TotpService } from './totp.service.js';

interface AccountsContext {
  readonly database: Database;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Everything that concerns people and how they get in, wired once. */
export function createAccounts({ database, secretBox, clock, logger }: AccountsContext) {
  const sessions = new SessionService(database, clock);
  const memberAccess = new MemberAccessService(database);
  const failedSignIns = new CountedEntries(new AuditTrail(database), clock, logger);
  const organizations = new OrganizationService(database, secretBox, clock);
  return {
    sessions,
    memberAccess,
    failedSignIns,
    formDelays: new FormDelays(clock),
    signIns: new SignInService(database, secretBox, clock, failedSignIns),
    signUps: new SignUpService(database, secretBox, organizations, clock),
    passwords: new PasswordService(database, secretBox, clock),
    addresses: new AddressService(database, secretBox, clock),
    totp: new TotpService(database, secretBox, clock),
    accounts: new AccountService(database, memberAccess, sessions),
    members: new MemberService(database, clock),
    invitations: new InvitationService(database, secretBox, clock),
    accountSweeper: new AccountSweeper(database, clock),
  };
}
