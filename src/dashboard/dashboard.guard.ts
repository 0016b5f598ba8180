import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { may, type Permission } from '../domain/policy/permissions.js';
import { MemberAccessService } from '../modules/accounts/member-access.service.js';
import { SessionService } from '../modules/accounts/session.service.js';
import { LocalRequestLimiter } from '../modules/limits/local-request-limiter.js';
import { systemClock } from '../platform/clock.js';
import { clientAddressOf } from '../platform/http/client-address.js';
import { HttpError } from '../platform/http/http-error.js';
import { isFromOrigin, ownOrigin, sourceOf } from '../platform/http/same-origin.js';
import { isUuid } from '../platform/uuid.js';
import {
  ACCESS,
  EXEMPT_FROM_CSRF,
  type Access,
  type DashboardRequest,
  type Member,
  type SignedInUser,
} from './access.js';
import {
  anonymousCookieName,
  isCsrfToken,
  readSigned,
  sessionCookieName,
  type CookieSettings,
} from './session-cookie.js';

const ORGANIZATION_HEADER = 'x-shunt-organization-id';
/** Of one session, or of one address without a session: far more than pages ask for. */
export const REQUESTS_PER_MINUTE = 3_000;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Every request to the dashboard's API passes here, in this order: how many came before it, a page of ours sent it, who
 * is signed in, the CSRF token, the organization, the role's permission, for some routes a confirmed address. A route
 * without a mark is refused to everybody.
 */
@Injectable()
export class DashboardGuard implements CanActivate {
  readonly #cookies: CookieSettings;
  readonly #rate = new LocalRequestLimiter(systemClock);

  constructor(
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(SessionService) private readonly sessions: SessionService,
    @Inject(MemberAccessService) private readonly memberAccess: MemberAccessService,
  ) {
    this.#cookies = cookieSettingsOf(config);
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const access = this.reflector.get<Access | undefined>(ACCESS, context.getHandler());
    if (access === undefined) {
      throw new HttpError(403, 'not_permitted', 'Nobody may use this.');
    }
    const request = context.switchToHttp().getRequest<DashboardRequest>();
    this.#assertRate(request);
    const exempt = this.reflector.get<boolean | undefined>(EXEMPT_FROM_CSRF, context.getHandler());
    if (exempt === true) {
      // No session takes part, not even one that is there: what nobody's page vouches for uses no cookie.
      if (access.kind !== 'open') throw new Error('Only an open route is exempt from CSRF checks');
      return true;
    }
    const changes = !SAFE_METHODS.has(request.method);
    if (changes) this.#assertSameOrigin(request);
    const signedIn = await this.#findUser(request);
    if (signedIn !== null) request.signedIn = signedIn;
    else if (access.kind !== 'open') {
      throw new HttpError(401, 'not_signed_in', 'Sign in first.');
    }
    if (changes) this.#assertCsrfToken(request);
    if (access.kind === 'member' && signedIn !== null) {
      request.member = await this.#memberOf(request, signedIn, access.permission);
      if (access.confirmedAddress) this.#assertAddress(signedIn);
    }
    return true;
  }

  /**
   * Before anything is looked up. A cookie that is signed and holds an id and a secret was a session's once: who has one
   * waits for nobody else at the same address.
   */
  #assertRate(request: FastifyRequest): void {
    const token = readSigned(request, sessionCookieName(this.#cookies)) ?? '';
    const [id = '', secret] = token.split('.');
    const whose = secret === undefined ? clientAddressOf(request) : id;
    const permit = this.#rate.take(whose, REQUESTS_PER_MINUTE);
    if (permit.allowed) return;
    throw new HttpError(
      429,
      'too_many_requests',
      `More than ${REQUESTS_PER_MINUTE} requests within a minute. Wait a little, then try again.`,
      Math.ceil(permit.retryAfterMs / 1_000),
    );
  }

  #assertSameOrigin(request: FastifyRequest): void {
    const own = ownOrigin(request, this.config.publicUrl);
    const accepted = [...(own === null ? [] : [own]), ...this.config.allowedOrigins];
    if (isFromOrigin(sourceOf(request), accepted)) return;
    throw new HttpError(
      403,
      'not_same_origin',
      'Only pages of this installation may ask for this.',
    );
  }

  async #findUser(request: FastifyRequest): Promise<SignedInUser | null> {
    const token = readSigned(request, sessionCookieName(this.#cookies));
    return token === null ? null : this.sessions.find(token);
  }

  /** Bound to the session; of somebody without one, to the anonymous cookie. */
  #assertCsrfToken(request: DashboardRequest): void {
    const name = request.signedIn ? sessionCookieName : anonymousCookieName;
    const binding = readSigned(request, name(this.#cookies));
    const given = request.headers['x-csrf-token'];
    if (binding !== null && isCsrfToken(given, binding, this.#cookies)) return;
    throw new HttpError(
      403,
      'csrf_failed',
      'Send the csrf_token that GET /api/session gives as x-csrf-token.',
    );
  }

  async #memberOf(
    request: FastifyRequest,
    user: SignedInUser,
    permission: Permission,
  ): Promise<Member> {
    const orgId = request.headers[ORGANIZATION_HEADER] ?? user.currentOrgId;
    const isId = typeof orgId === 'string' && isUuid(orgId);
    const access = isId ? await this.memberAccess.find(orgId, user.userId) : null;
    if (!isId || access === null) {
      throw new HttpError(404, 'unknown_organization', 'You are in no such organization.');
    }
    const { role } = access;
    if (access.requireTotp && !user.totpEnabled) {
      throw new HttpError(
        403,
        'totp_required',
        'This organization asks for a second factor: set one up in your account.',
      );
    }
    if (!may(role, permission)) {
      throw new HttpError(403, 'not_permitted', 'Your role does not permit this.');
    }
    return {
      ...user,
      orgId: orgId.toLowerCase(),
      role,
      actor: { kind: 'member', id: user.userId, role },
    };
  }

  /** Without mail nobody can confirm one by themselves. */
  #assertAddress({ addressConfirmed }: SignedInUser): void {
    if (addressConfirmed || this.config.mail === null) return;
    throw new HttpError(
      403,
      'address_not_confirmed',
      'Confirm your address first: follow the link in the mail that you got when you signed up, or have another sent ' +
        '(POST /api/account/address/mail).',
    );
  }
}

export function cookieSettingsOf({ production, secrets }: AppConfig): CookieSettings {
  return { production, sessionSecret: secrets.sessionSecret };
}
