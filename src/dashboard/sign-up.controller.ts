import { Body, HttpCode, Inject, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { FormDelays } from '../modules/accounts/form-delays.js';
import { SignUpService } from '../modules/accounts/sign-up.service.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { takingAtLeast } from '../platform/http/taking-at-least.js';
import { OpenToAll } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';

const ACCOUNT = z.strictObject({
  email: z.email().max(254),
  password: z.string().max(200),
  organization_name: FIELDS.name,
});

/** Longer than either way takes beside the password's hash, which both make. */
const ANSWER_MS_MIN = 700;

/**
 * A new account. It answers in the same words and after the same time whether the address had one already, and
 * therefore signs nobody in: who is new signs in next, who was there before learns of it by mail.
 */
@DashboardController('api/sign-up')
export class SignUpController {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(SignUpService) private readonly signUps: SignUpService,
    @Inject(FormDelays) private readonly delays: FormDelays,
  ) {}

  @Post()
  @HttpCode(202)
  @OpenToAll()
  async signUp(@Body() body: unknown, @Req() request: FastifyRequest) {
    if (!this.config.signUpOpen) {
      throw new HttpError(403, 'sign_up_closed', 'Here accounts are made by invitation only.');
    }
    const { organization_name: organizationName, ...given } = readBody(ACCOUNT, body);
    const outcome = await takingAtLeast(ANSWER_MS_MIN, (begin) =>
      this.delays.run(clientAddressOf(request), async (attempt) => {
        begin();
        attempt.count();
        return this.signUps.signUp({ ...given, organizationName });
      }),
    );
    if (outcome.kind === 'weak_password') {
      throw new HttpError(400, 'invalid_request', `password: ${outcome.message}`);
    }
    return {
      status: 'accepted',
      message:
        'Sign in with this address and password. If the address had an account before, nothing has changed, and a mail says so.',
    };
  }
}
