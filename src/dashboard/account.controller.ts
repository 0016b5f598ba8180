import { Body, Delete, Get, HttpCode, Inject, Patch, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { AccountService } from '../modules/accounts/account.service.js';
import { AddressService } from '../modules/accounts/address.service.js';
import { clientLabelOf } from '../modules/accounts/client-label.js';
import { FormDelays } from '../modules/accounts/form-delays.js';
import { PasswordService } from '../modules/accounts/password.service.js';
import { TotpService } from '../modules/accounts/totp.service.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentUser, SignedIn, type SignedInUser } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { cookieSettingsOf } from './dashboard.guard.js';
import { csrfTokenFor, setSessionCookie, type CookieSettings } from './session-cookie.js';

const PASSWORD = z.string().min(1).max(200);
const REMINDERS = z.strictObject({ organization_id: z.uuid(), reminders: z.boolean() });
const NEW_PASSWORD = z.strictObject({ current_password: PASSWORD, new_password: PASSWORD });
const CODE = z.strictObject({ code: z.string().max(20) });
const TOKEN = z.strictObject({ token: z.string().min(1).max(200) });
const CONFIRMATION = z.strictObject({ password: PASSWORD });

/** One's own account. Open to somebody whose organization asks for a second factor, so that it can be set up. */
@DashboardController('api/account')
export class AccountController {
  readonly #cookies: CookieSettings;

  constructor(
    @Inject(APP_CONFIG) config: AppConfig,
    @Inject(AccountService) private readonly accounts: AccountService,
    @Inject(PasswordService) private readonly passwords: PasswordService,
    @Inject(AddressService) private readonly addresses: AddressService,
    @Inject(TotpService) private readonly totp: TotpService,
    @Inject(FormDelays) private readonly delays: FormDelays,
  ) {
    this.#cookies = cookieSettingsOf(config);
  }

  @Get()
  @SignedIn()
  async show(@CurrentUser() user: SignedInUser) {
    return {
      id: user.userId,
      email: user.email,
      address_confirmed: user.addressConfirmed,
      totp_enabled: user.totpEnabled,
      recovery_codes_left: await this.totp.recoveryCodesLeft(user.userId),
      organizations: await this.accounts.organizationsOf(user.userId),
    };
  }

  /** Whether one gets the reminders of an organization. */
  @Patch()
  @SignedIn()
  async change(@CurrentUser() user: SignedInUser, @Body() body: unknown) {
    const { organization_id: orgId, reminders } = readBody(REMINDERS, body);
    if (await this.accounts.setReminders(user.userId, orgId, reminders)) return this.show(user);
    throw new HttpError(404, 'unknown_organization', 'You are in no such organization.');
  }

  /** With the token of the mail: the account is that of the session, so that nobody confirms a stranger's by mistake. */
  @Post('address/confirm')
  @HttpCode(204)
  @SignedIn()
  async confirmAddress(@CurrentUser() user: SignedInUser, @Body() body: unknown): Promise<void> {
    const { token } = readBody(TOKEN, body);
    if (await this.addresses.confirm(user.userId, token)) return;
    throw new HttpError(
      400,
      'invalid_token',
      'This link was used before, is older than a day, or is for another account. Have another sent.',
    );
  }

  @Post('address/mail')
  @HttpCode(202)
  @SignedIn()
  async mailConfirmation(@CurrentUser() user: SignedInUser) {
    const outcome = await this.addresses.mailLink(user.userId);
    switch (outcome.kind) {
      case 'mailed':
        return { status: 'accepted', message: 'A mail with a link is on its way to your address.' };
      case 'already_confirmed':
        throw new HttpError(409, 'already_confirmed', 'Your address is confirmed already.');
      case 'too_many':
        throw new HttpError(
          429,
          'too_many_mails',
          'A mail was sent a moment ago, or five within a day. Look for it before you ask for another.',
          outcome.retryAfterSeconds,
        );
    }
  }

  @Post('password')
  @HttpCode(200)
  @SignedIn()
  async changePassword(
    @CurrentUser() user: SignedInUser,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const given = readBody(NEW_PASSWORD, body);
    const outcome = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const tried = await this.passwords.change({
        userId: user.userId,
        email: user.email,
        currentPassword: given.current_password,
        newPassword: given.new_password,
        client: clientLabelOf(request.headers['user-agent']),
        currentOrgId: user.currentOrgId,
      });
      if (tried.kind === 'wrong_password') attempt.count();
      return tried;
    });
    if (outcome.kind === 'wrong_password') throw wrongPassword();
    if (outcome.kind === 'weak_password') {
      throw new HttpError(400, 'invalid_request', `new_password: ${outcome.message}`);
    }
    setSessionCookie(reply, this.#cookies, outcome.session);
    return { csrf_token: csrfTokenFor(outcome.session.token, this.#cookies) };
  }

  /**
   * The secret is shown here once; it is asked for from its first right code on. Takes the password: whoever found an
   * open browser does not lock its owner out.
   */
  @Post('totp')
  @HttpCode(200)
  @SignedIn()
  async beginTotp(
    @CurrentUser() user: SignedInUser,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ) {
    await this.#assertPassword(user, body, request);
    const begun = await this.totp.begin(user.userId, user.email);
    if (begun.kind === 'already_enabled') throw alreadyEnabled();
    return { secret: begun.secret, uri: begun.uri };
  }

  @Post('totp/confirm')
  @HttpCode(200)
  @SignedIn()
  async confirmTotp(
    @CurrentUser() user: SignedInUser,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ) {
    const { code } = readBody(CODE, body);
    const outcome = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const tried = await this.totp.confirm(user, code);
      if (tried.kind === 'wrong_code') attempt.count();
      return tried;
    });
    switch (outcome.kind) {
      case 'enabled':
        return { totp_enabled: true, recovery_codes: outcome.recoveryCodes };
      case 'already_enabled':
        throw alreadyEnabled();
      case 'not_begun':
        throw new HttpError(409, 'totp_not_begun', 'Ask for a secret first.');
      case 'wrong_code':
        throw new HttpError(400, 'wrong_code', 'This is not the code of this moment.');
    }
  }

  @Delete('totp')
  @HttpCode(204)
  @SignedIn()
  async disableTotp(
    @CurrentUser() user: SignedInUser,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<void> {
    await this.#assertPassword(user, body, request);
    if (await this.totp.disable(user.userId)) return;
    throw new HttpError(409, 'totp_not_enabled', 'There is no second factor to remove.');
  }

  async #assertPassword(user: SignedInUser, body: unknown, request: FastifyRequest): Promise<void> {
    const { password } = readBody(CONFIRMATION, body);
    const isRight = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const right = await this.passwords.isRight(user.userId, password);
      if (!right) attempt.count();
      return right;
    });
    if (!isRight) throw wrongPassword();
  }
}

function wrongPassword(): HttpError {
  return new HttpError(403, 'wrong_password', 'This is not your password.');
}

function alreadyEnabled(): HttpError {
  return new HttpError(409, 'totp_already_enabled', 'Remove the second factor first.');
}
