import { Body, Get, Inject, Patch } from '@nestjs/common';
import { z } from 'zod';
import type { Organization } from '../modules/organizations/organization.js';
import { OrganizationService } from '../modules/organizations/organization.service.js';
import { RETENTION_CLASSES } from '../modules/records/call-record.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';
import { unknown } from './resource-id.js';

const CHANGES = z.strictObject({
  name: FIELDS.name.optional(),
  retention_class: z.enum(RETENTION_CLASSES, `takes ${RETENTION_CLASSES.join(', ')}`).optional(),
  allowed_providers: FIELDS.allowedProviders.optional(),
  allowed_models: FIELDS.allowedModels.optional(),
  control_share_bp: FIELDS.controlShareBp.optional(),
});

/** The organization of the request. What an operator sets (status, hold, calls per minute) is read here and not changed. */
@DashboardController('api/organization')
export class OrganizationController {
  constructor(@Inject(OrganizationService) private readonly organizations: OrganizationService) {}

  @Get()
  @Needs('organization.read')
  async read(@CurrentMember() { orgId, role }: Member) {
    const organization = await this.organizations.find(orgId);
    if (!organization) throw unknown('organization');
    return { ...organizationJson(organization), role };
  }

  /** Every replica applies it within a second. The retention class holds for calls from now on. */
  @Patch()
  @Needs('organization.change')
  async change(@CurrentMember() { orgId, role, actor }: Member, @Body() body: unknown) {
    const given = readBody(CHANGES, body);
    const changes = {
      name: given.name,
      retentionClass: given.retention_class,
      allowedProviders: given.allowed_providers,
      allowedModels: given.allowed_models,
      controlShareBp: given.control_share_bp,
    };
    const organization = await this.organizations.update(orgId, changes, actor);
    if (!organization) throw unknown('organization');
    return { ...organizationJson(organization), role };
  }
}

function organizationJson(organization: Organization) {
  return {
    id: organization.id,
    name: organization.name,
    status: organization.status,
    hold: organization.hold,
    retention_class: organization.retentionClass,
    requests_per_minute: organization.requestsPerMinute,
    allowed_providers: organization.allowedProviders,
    allowed_models: organization.allowedModels,
    control_share_bp: organization.controlShareBp,
    created_at: organization.createdAt,
  };
}
