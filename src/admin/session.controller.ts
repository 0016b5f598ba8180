import { Body, Get, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { OperatorSessions, type LiveSession } from '../modules/operators/operator-sessions.js';
import { OperatorSignIn } from '../modules/operators/operator-sign-in.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { endedCookie, sessionCookie } from './admin-cookie.js';
import { AdminController } from './admin.controller.js';
import { CurrentSession, OpenToStrangers } from './admin.guard.js';

const LOGIN = z.strictObject({
  name: z.string().trim().min(1).max(100).optional(),
  secret: z.string().min(1).max(200),
  totp: z.string().max(20),
});

/** Operators come and go. */
@AdminController('')
export class SessionController {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(OperatorSignIn) private readonly signIn: OperatorSignIn,
    @Inject(OperatorSessions) private readonly sessions: OperatorSessions,
  ) {}

  @Post('login')
  @HttpCode(200)
  @OpenToStrangers()
  async login(
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const { totp, ...given } = readBody(LOGIN, body);
    // Apps show it in two groups.
    const credentials = { ...given, totp: totp.replaceAll(/\s/g, '') };
    const signedIn = await this.signIn.signIn(credentials, clientAddressOf(request));
    if (signedIn === null) {
      throw new HttpError(
        401,
        'wrong_credentials',
        'The name, the secret or the code is wrong, or the code was used before: wait for the next one.',
      );
    }
    const { name, session } = signedIn;
    void reply.header('set-cookie', sessionCookie(this.config, session));
    return told(name, session.expiresAtMs);
  }

  @Post('logout')
  @HttpCode(200)
  async logout(
    @CurrentSession() session: LiveSession,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await this.sessions.signOut(session);
    void reply.header('set-cookie', endedCookie(this.config));
    return { signed_out: true };
  }

  @Get('session')
  session(@CurrentSession() { name, expiresAtMs }: LiveSession) {
    return told(name, expiresAtMs);
  }
}

function told(name: string, expiresAtMs: number) {
  return { operator: { name }, expires_at: new Date(expiresAtMs).toISOString() };
}
