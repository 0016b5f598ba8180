import { Body, Delete, Get, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import {
  EVERY_CLASS,
  ROUTE_RULES_MAX,
  RouteRuleService,
  type SetRule,
  type StoredRouteRule,
} from '../modules/routing/route-rule.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';
import { idOf, unknown } from './resource-id.js';

const ROUTE_CLASS = /^(?:\*|[\w-]{22})$/;

const NEW_RULE = z.strictObject({
  project_id: FIELDS.id,
  route_class: z
    .string(`takes a route class, or ${EVERY_CLASS}`)
    .regex(ROUTE_CLASS, `takes a route class, or ${EVERY_CLASS} for every class of the project`),
  targets: FIELDS.targets,
});

/** Which models a class of calls may go to instead of the one that is asked for, set by hand. */
@DashboardController('api/route-rules')
export class RoutingController {
  constructor(@Inject(RouteRuleService) private readonly rules: RouteRuleService) {}

  @Get()
  @Needs('organization.read')
  async list(@CurrentMember() { orgId }: Member) {
    const rules = await this.rules.list(orgId);
    return { data: rules.map(ruleJson) };
  }

  /** Takes the place of the class's rule before, on every replica within a second. */
  @Post()
  @Needs('projects.change')
  async set(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const given = readBody(NEW_RULE, body);
    const fields = {
      projectId: idOf('project', given.project_id),
      routeClass: given.route_class,
      targets: given.targets,
    };
    return set(await this.rules.set(orgId, fields, actor));
  }

  @Delete(':id')
  @Needs('projects.change')
  async revoke(@CurrentMember() { orgId, actor }: Member, @Param('id') id: string) {
    const ruleId = idOf('route_rule', id);
    if (!(await this.rules.revoke(orgId, ruleId, actor))) throw unknown('route_rule');
    return { id: ruleId, revoked: true };
  }
}

function set(result: SetRule) {
  switch (result.kind) {
    case 'set':
      return ruleJson(result.rule);
    case 'unknown_project':
      throw unknown('project');
    case 'too_many':
      throw new HttpError(
        409,
        'too_many_route_rules',
        `The organization has ${ROUTE_RULES_MAX} route rules: that is the limit.`,
      );
  }
}

function ruleJson(rule: StoredRouteRule) {
  return {
    id: rule.id,
    project_id: rule.projectId,
    route_class: rule.routeClass,
    targets: rule.targets,
    created_by: rule.createdBy,
    created_at: rule.createdAt,
  };
}
