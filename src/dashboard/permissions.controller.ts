import { Get } from '@nestjs/common';
import { MEMBER_ROLES, PERMISSIONS } from '../domain/policy/permissions.js';
import { SignedIn } from './access.js';
import { DashboardController } from './dashboard.controller.js';

/** Who may do what, as the guard decides it: pages show the table, and hide what would be refused. */
@DashboardController('api/permissions')
export class PermissionsController {
  @Get()
  @SignedIn()
  read() {
    return { roles: MEMBER_ROLES, permissions: PERMISSIONS };
  }
}
