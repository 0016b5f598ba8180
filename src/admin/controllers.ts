import type { Type } from '@nestjs/common';
import { AuditController } from './audit.controller.js';
import { BreakersController } from './breakers.controller.js';
import { InterventionsController } from './interventions.controller.js';
import { MailController } from './mail.controller.js';
import { OperatorsController } from './operators.controller.js';
import { OrganizationsController } from './organizations.controller.js';
import { RoutingController } from './routing.controller.js';
import { SessionController } from './session.controller.js';

/** Every controller of the admin API. */
export const ADMIN_CONTROLLERS: readonly Type[] = [
  SessionController,
  OrganizationsController,
  InterventionsController,
  RoutingController,
  BreakersController,
  AuditController,
  OperatorsController,
  MailController,
];
