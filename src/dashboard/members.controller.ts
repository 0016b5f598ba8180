import { Body, Delete, Get, HttpCode, Inject, Param, Patch } from '@nestjs/common';
import { z } from 'zod';
import { MEMBER_ROLES } from '../domain/policy/permissions.js';
import {
  MemberService,
  type MemberOutcome,
  type SecurityOutcome,
} from '../modules/accounts/member.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { isUuid } from '../platform/uuid.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const ROLE = z.strictObject({ role: z.enum(MEMBER_ROLES) });
const SECURITY = z.strictObject({ require_totp: z.boolean() });

/** The people of an organization. */
@DashboardController('api')
export class MembersController {
  constructor(@Inject(MemberService) private readonly members: MemberService) {}

  @Get('members')
  @Needs('organization.read')
  async list(@CurrentMember() { orgId, userId }: Member) {
    const members = await this.members.list(orgId);
    return {
      data: members.map((member) => ({
        user_id: member.userId,
        self: member.userId === userId,
        email: member.email,
        role: member.role,
        totp_enabled: member.totpEnabled,
        joined_at: member.joinedAt.toISOString(),
      })),
    };
  }

  @Patch('members/:user_id')
  @HttpCode(204)
  @Needs('members.change')
  async changeRole(
    @CurrentMember() { orgId, actor }: Member,
    @Param('user_id') userId: string,
    @Body() body: unknown,
  ): Promise<void> {
    const { role } = readBody(ROLE, body);
    assertDone(await this.members.changeRole(orgId, idOf(userId), role, actor));
  }

  /** Another takes the permission; oneself, every member may. */
  @Delete('members/:user_id')
  @HttpCode(204)
  @Needs('organization.read')
  async remove(
    @CurrentMember() { orgId, actor }: Member,
    @Param('user_id') userId: string,
  ): Promise<void> {
    assertDone(await this.members.remove(orgId, idOf(userId), actor));
  }

  @Patch('organization/security')
  @HttpCode(204)
  @Needs('security.change')
  async changeSecurity(
    @CurrentMember() { orgId, actor }: Member,
    @Body() body: unknown,
  ): Promise<void> {
    const { require_totp: required } = readBody(SECURITY, body);
    assertDone(await this.members.requireTotp(orgId, required, actor));
  }
}

function idOf(text: string): string {
  if (!isUuid(text)) assertDone('unknown_member');
  return text.toLowerCase();
}

const REFUSALS: Readonly<
  Record<Exclude<MemberOutcome | SecurityOutcome, 'done'>, [status: number, message: string]>
> = {
  unknown_member: [404, 'Nobody of this id is in the organization.'],
  last_owner: [409, 'An organization has an owner: make somebody else owner first.'],
  not_permitted: [403, 'Your role does not permit this.'],
  totp_not_enabled: [409, 'Set up your own second factor first.'],
};

function assertDone(outcome: MemberOutcome | SecurityOutcome): void {
  if (outcome === 'done') return;
  const [status, message] = REFUSALS[outcome];
  throw new HttpError(status, outcome, message);
}
