import {
  Inject,
  Injectable,
  SetMetadata,
  createParamDecorator,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import type { Actor } from '../domain/subscription/actor.js';
import { operatorActor } from '../modules/operators/operator.js';
import { OperatorSessions, type LiveSession } from '../modules/operators/operator-sessions.js';
import { HttpError } from '../platform/http/http-error.js';
import { isFromOrigin, ownOrigin, sourceOf } from '../platform/http/same-origin.js';
import { sessionIdOf } from './admin-cookie.js';
import { cameByAdminListener } from './admin-doors.js';

const STRANGERS = Symbol('OpenToStrangers');

/** For the login alone. Every other route of the admin API needs an operator's session. */
export const OpenToStrangers = () => SetMetadata(STRANGERS, true);

type AdminRequest = FastifyRequest & { operatorSession?: LiveSession };

/** The operator who asks, as the audit trail names them. */
export const CurrentOperator = createParamDecorator((_: unknown, context: ExecutionContext) =>
  actorOf(context),
);

/** The session that the request came with. */
export const CurrentSession = createParamDecorator((_: unknown, context: ExecutionContext) =>
  liveSession(context),
);

function liveSession(context: ExecutionContext): LiveSession {
  const { operatorSession } = context.switchToHttp().getRequest<AdminRequest>();
  if (!operatorSession) throw new Error('The route is open to strangers');
  return operatorSession;
}

function actorOf(context: ExecutionContext): Actor {
  return operatorActor(liveSession(context).name);
}

const READING = new Set(['GET', 'HEAD']);

/** Lets in an operator with a live session, and changes only from a page of the installation's own, or who says so. */
@Injectable()
export class AdminGuard implements CanActivate {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(OperatorSessions) private readonly sessions: OperatorSessions,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<AdminRequest>();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    void reply.header('cache-control', 'no-store');
    if (this.config.adminListener !== null && !cameByAdminListener(request.raw)) {
      throw new HttpError(404, 'not_found', 'There is nothing here.');
    }
    if (!READING.has(request.method)) this.#assertSameOrigin(request);
    if (this.reflector.get<boolean>(STRANGERS, context.getHandler()) === true) return true;
    const id = sessionIdOf(this.config, request.headers.cookie);
    const session = id === null ? null : await this.sessions.find(id);
    if (session === null) {
      throw new HttpError(
        401,
        'not_signed_in',
        'Sign in as an operator: POST /admin/api/login. A session lasts 15 minutes.',
      );
    }
    request.operatorSession = session;
    return true;
  }

  #assertSameOrigin(request: FastifyRequest): void {
    const source = sourceOf(request);
    // Where operators have a listener of their own, pages of the common one are strangers there.
    const { adminListener, publicUrl } = this.config;
    const known = adminListener === null ? publicUrl : null;
    const own = [ownOrigin(request, null), ownOrigin(request, known)];
    const accepted = own.filter((origin) => origin !== null);
    const isForeignSite =
      source.secFetchSite !== undefined && source.secFetchSite !== 'same-origin';
    if (!isForeignSite && isFromOrigin(source, accepted)) return;
    throw new HttpError(
      403,
      'not_same_origin',
      'A change needs the header Origin (or Sec-Fetch-Site: same-origin) of this very address. Scripts set it themselves.',
    );
  }
}
