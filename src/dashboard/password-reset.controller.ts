import { Body, HttpCode, Inject, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { FormDelays } from '../modules/accounts/form-delays.js';
import { PasswordService } from '../modules/accounts/password.service.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { takingAtLeast } from '../platform/http/taking-at-least.js';
import { OpenToAll } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const ADDRESS = z.strictObject({ email: z.string().trim().min(1).max(254) });
const NEW_PASSWORD = z.strictObject({
  token: z.string().min(1).max(200),
  password: z.string().max(200),
});

/** Longer than the mail of a known address takes to be enqueued. */
const ANSWER_MS_MIN = 250;

/** For who forgot the password and gets the account's mail. */
@DashboardController('api/password-reset')
export class PasswordResetController {
  constructor(
    @Inject(PasswordService) private readonly passwords: PasswordService,
    @Inject(FormDelays) private readonly delays: FormDelays,
  ) {}

  @Post()
  @HttpCode(202)
  @OpenToAll()
  async request(@Body() body: unknown, @Req() request: FastifyRequest) {
    const { email } = readBody(ADDRESS, body);
    await takingAtLeast(ANSWER_MS_MIN, (begin) =>
      this.delays.run(clientAddressOf(request), async (attempt) => {
        begin();
        attempt.count();
        await this.passwords.requestReset(email);
      }),
    );
    return {
      status: 'accepted',
      message: 'If the address has an account, a mail is on its way to it.',
    };
  }

  @Post('confirm')
  @HttpCode(204)
  @OpenToAll()
  async confirm(@Body() body: unknown, @Req() request: FastifyRequest): Promise<void> {
    const { token, password } = readBody(NEW_PASSWORD, body);
    const outcome = await this.delays.run(clientAddressOf(request), async (attempt) => {
      const tried = await this.passwords.reset(token, password);
      if (tried.kind === 'invalid_token') attempt.count();
      return tried;
    });
    if (outcome.kind === 'weak_password') {
      throw new HttpError(400, 'invalid_request', `password: ${outcome.message}`);
    }
    if (outcome.kind === 'invalid_token') {
      throw new HttpError(
        400,
        'invalid_token',
        'This link was used before, or is older than an hour. Ask for another.',
      );
    }
  }
}
