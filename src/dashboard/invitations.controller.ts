import { Body, Delete, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { MEMBER_ROLES } from '../domain/policy/permissions.js';
import { clientLabelOf } from '../modules/accounts/client-label.js';
import { FormDelays } from '../modules/accounts/form-delays.js';
import { InvitationService, type Accepting } from '../modules/accounts/invitation.service.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { isUuid } from '../platform/uuid.js';
import {
  CurrentMember,
  MaybeUser,
  Needs,
  OpenToAll,
  type Member,
  type SignedInUser,
} from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { cookieSettingsOf } from './dashboard.guard.js';
import { csrfTokenFor, setSessionCookie, type CookieSettings } from './session-cookie.js';

const INVITATION = z.strictObject({ email: z.email().max(254), role: z.enum(MEMBER_ROLES) });
const ACCEPTANCE = z.strictObject({
  token: z.string().min(1).max(200),
  password: z.string().max(200).optional(),
});

/** Inviting people, and following an invitation. */
@DashboardController('api/invitations')
export class InvitationsController {
  readonly #cookies: CookieSettings;

  constructor(
    @Inject(APP_CONFIG) config: AppConfig,
    @Inject(InvitationService) private readonly invitations: InvitationService,
    @Inject(FormDelays) private readonly delays: FormDelays,
  ) {
    this.#cookies = cookieSettingsOf(config);
  }

  @Get()
  @Needs('members.invite')
  async list(@CurrentMember() { orgId }: Member) {
    const open = await this.invitations.list(orgId);
    return {
      data: open.map((invitation) => ({
        id: invitation.id,
        email: invitation.email,
        role: invitation.role,
        invited_by: invitation.invitedBy,
        created_at: invitation.createdAt.toISOString(),
        expires_at: invitation.expiresAt.toISOString(),
      })),
    };
  }

  @Post()
  @Needs('members.invite', { confirmedAddress: true })
  async invite(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const outcome = await this.invitations.invite(orgId, readBody(INVITATION, body), actor);
    switch (outcome.kind) {
      case 'invited':
        return {
          id: outcome.invitationId,
          expires_at: new Date(outcome.expiresAtMs).toISOString(),
        };
      case 'not_permitted':
        throw new HttpError(403, 'not_permitted', 'Only an owner invites owners.');
      case 'already_member':
        throw new HttpError(409, 'already_member', 'This address is in the organization already.');
      case 'too_many':
        throw new HttpError(409, 'too_many_invitations', 'That is enough for a day.');
    }
  }

  @Delete(':id')
  @HttpCode(204)
  @Needs('members.invite')
  async withdraw(
    @CurrentMember() { orgId, actor }: Member,
    @Param('id') id: string,
  ): Promise<void> {
    if (isUuid(id) && (await this.invitations.withdraw(orgId, id.toLowerCase(), actor))) return;
    throw unknown();
  }

  /** Signed in: with the account of the invited address. Otherwise a password makes that account, and signs in. */
  @Post('accept')
  @HttpCode(200)
  @OpenToAll()
  async accept(
    @Body() body: unknown,
    @MaybeUser() user: SignedInUser | null,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { token, password = null } = readBody(ACCEPTANCE, body);
    const client = clientLabelOf(request.headers['user-agent']);
    const who: Accepting =
      user === null
        ? { kind: 'new', password, client }
        : { kind: 'user', userId: user.userId, email: user.email };
    const outcome = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const tried = await this.invitations.accept(token, who);
      if (tried.kind === 'unknown') attempt.count();
      return tried;
    });
    if (outcome.kind === 'weak_password') {
      throw new HttpError(400, 'invalid_request', `password: ${outcome.message}`);
    }
    if (outcome.kind !== 'joined') throw REFUSALS[outcome.kind]();
    if (outcome.session === null) return { organization_id: outcome.orgId };
    setSessionCookie(reply, this.#cookies, outcome.session);
    return {
      organization_id: outcome.orgId,
      csrf_token: csrfTokenFor(outcome.session.token, this.#cookies),
    };
  }
}

function unknown(): HttpError {
  return new HttpError(
    404,
    'unknown_invitation',
    'This invitation was used, withdrawn, or expired.',
  );
}

const REFUSALS = {
  unknown,
  sign_in_first: () =>
    new HttpError(409, 'sign_in_first', 'The invited address has an account: sign in with it.'),
  other_address: () =>
    new HttpError(403, 'other_address', 'The invitation is for another address than yours.'),
  already_member: () =>
    new HttpError(409, 'already_member', 'You are in this organization already.'),
  password_needed: () =>
    new HttpError(400, 'invalid_request', 'password: Choose one for your new account.'),
} as const;
