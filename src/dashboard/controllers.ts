import type { Type } from '@nestjs/common';
import { ActivationController } from './activation.controller.js';
import { AuditController } from './audit.controller.js';
import { BillingController } from './billing.controller.js';
import { KeysController } from './keys.controller.js';
import { LeavingController } from './leaving.controller.js';
import { ObservationController } from './observation.controller.js';
import { OrganizationController } from './organization.controller.js';
import { PermissionsController } from './permissions.controller.js';
import { PricesController } from './prices.controller.js';
import { ProjectsController } from './projects.controller.js';
import { ProviderKeysController } from './provider-keys.controller.js';
import { ReportsController } from './reports.controller.js';
import { RequestsController } from './requests.controller.js';
import { AccountController } from './account.controller.js';
import { InvitationsController } from './invitations.controller.js';
import { MembersController } from './members.controller.js';
import { PasswordResetController } from './password-reset.controller.js';
import { SignUpController } from './sign-up.controller.js';
import { RoutingController } from './routing.controller.js';
import { SessionController } from './session.controller.js';
import { SavingsController } from './savings.controller.js';
import { StatementsController } from './statements.controller.js';
import { InvoicesController } from './invoices.controller.js';
import { ExportsController } from './exports.controller.js';
import { UnsubscribeController } from './unsubscribe.controller.js';

/** Every controller of the dashboard's API. */
export const DASHBOARD_CONTROLLERS: readonly Type[] = [
  ActivationController,
  AuditController,
  SessionController,
  AccountController,
  InvitationsController,
  MembersController,
  PasswordResetController,
  SignUpController,
  BillingController,
  KeysController,
  LeavingController,
  ObservationController,
  OrganizationController,
  PermissionsController,
  PricesController,
  ProjectsController,
  ProviderKeysController,
  ReportsController,
  RequestsController,
  RoutingController,
  SavingsController,
  StatementsController,
  InvoicesController,
  ExportsController,
  UnsubscribeController,
];
