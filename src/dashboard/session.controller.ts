import { Body, Delete, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { AccountService } from '../modules/accounts/account.service.js';
import { clientLabelOf } from '../modules/accounts/client-label.js';
import { SessionService } from '../modules/accounts/session.service.js';
import { SignInService } from '../modules/accounts/sign-in.service.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { FormDelays } from '../modules/accounts/form-delays.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import {
  CurrentUser,
  MaybeUser,
  OpenToAll,
  SignedIn,
  type DashboardRequest,
  type SignedInUser,
} from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { cookieSettingsOf } from './dashboard.guard.js';
import {
  anonymousBinding,
  clearSessionCookie,
  csrfTokenFor,
  readSigned,
  sessionCookieName,
  setSessionCookie,
  type CookieSettings,
} from './session-cookie.js';

const CREDENTIALS = z.strictObject({
  email: z.string().trim().min(1).max(254),
  password: z.string().min(1).max(200),
  totp: z.string().max(20).optional(),
  recovery_code: z.string().max(100).optional(),
});

const CHOICE = z.strictObject({ organization_id: z.uuid() });

/** Who is signed in, and where else. */
@DashboardController('api')
export class SessionController {
  readonly #cookies: CookieSettings;

  constructor(
    @Inject(APP_CONFIG) config: AppConfig,
    @Inject(SessionService) private readonly sessions: SessionService,
    @Inject(SignInService) private readonly signIns: SignInService,
    @Inject(AccountService) private readonly accounts: AccountService,
    @Inject(FormDelays) private readonly delays: FormDelays,
  ) {
    this.#cookies = cookieSettingsOf(config);
  }

  /** Also what a page asks first: it brings the CSRF token, and the cookie that it is bound to. */
  @Get('session')
  @OpenToAll()
  async current(
    @MaybeUser() user: SignedInUser | null,
    @Req() request: DashboardRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const name = sessionCookieName(this.#cookies);
    if (user === null) {
      if (request.cookies[name] !== undefined) clearSessionCookie(reply, this.#cookies);
      const binding = anonymousBinding(request, reply, this.#cookies);
      return { signed_in: false, csrf_token: csrfTokenFor(binding, this.#cookies) };
    }
    const binding = readSigned(request, name) ?? '';
    return {
      signed_in: true,
      csrf_token: csrfTokenFor(binding, this.#cookies),
      session_id: user.sessionId,
      user: {
        id: user.userId,
        email: user.email,
        address_confirmed: user.addressConfirmed,
        totp_enabled: user.totpEnabled,
      },
      organization_id: user.currentOrgId,
      organizations: await this.accounts.organizationsOf(user.userId),
    };
  }

  @Post('login')
  @HttpCode(200)
  @OpenToAll()
  async login(
    @Body() body: unknown,
    @MaybeUser() before: SignedInUser | null,
    @Req() request: DashboardRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { recovery_code: recoveryCode, ...given } = readBody(CREDENTIALS, body);
    const client = clientLabelOf(request.headers['user-agent']);
    const outcome = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const tried = await this.signIns.signIn({ ...given, recoveryCode, client });
      if (tried.kind !== 'signed_in' && tried.kind !== 'totp_needed') attempt.count();
      return tried;
    });
    if (outcome.kind === 'wrong_credentials') {
      throw new HttpError(401, 'wrong_credentials', 'Address, password or code is wrong.');
    }
    if (outcome.kind === 'totp_needed') {
      throw new HttpError(401, 'totp_needed', 'Give the code of your authenticator app too.');
    }
    if (outcome.kind === 'too_many_codes') {
      throw new HttpError(
        429,
        'too_many_attempts',
        'Too many wrong codes. Wait a little, or use a recovery code; if the codes were not yours, set a new password.',
        outcome.retryAfterSeconds,
      );
    }
    // The browser's earlier session would otherwise go on without anybody holding it.
    if (before !== null) await this.sessions.end(before.sessionId);
    setSessionCookie(reply, this.#cookies, outcome.session);
    return {
      signed_in: true,
      user_id: outcome.userId,
      csrf_token: csrfTokenFor(outcome.session.token, this.#cookies),
    };
  }

  @Post('logout')
  @HttpCode(204)
  @OpenToAll()
  async logout(
    @MaybeUser() user: SignedInUser | null,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    if (user !== null) await this.sessions.end(user.sessionId);
    clearSessionCookie(reply, this.#cookies);
  }

  @Get('sessions')
  @SignedIn()
  async list(@CurrentUser() user: SignedInUser) {
    const sessions = await this.sessions.list(user.userId);
    return {
      data: sessions.map((session) => ({
        id: session.id,
        current: session.id === user.sessionId,
        client: session.client,
        created_at: session.createdAt.toISOString(),
        last_seen_at: session.lastSeenAt.toISOString(),
        expires_at: session.expiresAt.toISOString(),
      })),
    };
  }

  /** All but the one that asks. */
  @Delete('sessions')
  @SignedIn()
  async revokeOthers(@CurrentUser() user: SignedInUser) {
    return { revoked: await this.sessions.revokeOthers(user.userId, user.sessionId) };
  }

  @Delete('sessions/:id')
  @HttpCode(204)
  @SignedIn()
  async revoke(@CurrentUser() user: SignedInUser, @Param('id') id: string): Promise<void> {
    const known = z.uuid().safeParse(id).success;
    if (known && (await this.sessions.revoke(user.userId, id))) return;
    throw new HttpError(404, 'unknown_session', 'You have no such session.');
  }

  @Post('session/organization')
  @HttpCode(204)
  @SignedIn()
  async choose(@CurrentUser() user: SignedInUser, @Body() body: unknown): Promise<void> {
    const { organization_id: orgId } = readBody(CHOICE, body);
    if (await this.accounts.chooseOrganization(user, orgId)) return;
    throw new HttpError(404, 'unknown_organization', 'You are in no such organization.');
  }
}
