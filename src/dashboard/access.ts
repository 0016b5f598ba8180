import { SetMetadata, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { MemberRole, Permission } from '../domain/policy/permissions.js';
import type { Actor } from '../domain/subscription/actor.js';

/**
 * Who may use a route. A route that does not say is refused to everybody, and fails the table test.
 * `open`: without a session (sign-up, login, ...). `signed_in`: any user. `member`: in one organization, with a permission.
 */
export type Access =
  | { readonly kind: 'open' }
  | { readonly kind: 'signed_in' }
  | {
      readonly kind: 'member';
      readonly permission: Permission;
      /** Where there is mail, so that it can be confirmed. */
      readonly confirmedAddress: boolean;
    };

export const ACCESS = Symbol('Access');

export const OpenToAll = () => SetMetadata(ACCESS, { kind: 'open' } satisfies Access);
export const SignedIn = () => SetMetadata(ACCESS, { kind: 'signed_in' } satisfies Access);
export const Needs = (permission: Permission, { confirmedAddress = false } = {}) =>
  SetMetadata(ACCESS, { kind: 'member', permission, confirmedAddress } satisfies Access);

export const EXEMPT_FROM_CSRF = Symbol('ExemptFromCsrf');

/**
 * For a change that no session takes part in, because the request itself carries the whole credential: asked for from
 * anywhere, without a CSRF token. Such a route reads no cookie.
 */
export const ExemptFromCsrf = () => SetMetadata(EXEMPT_FROM_CSRF, true);

/** A user with a live session. */
export interface SignedInUser {
  readonly userId: string;
  readonly sessionId: string;
  readonly email: string;
  readonly addressConfirmed: boolean;
  readonly totpEnabled: boolean;
  /** The organization that the session looks at; whether the user is in it, the guard decides. */
  readonly currentOrgId: string | null;
}

/** That user in the organization of the request, with the permission that the route asked for. */
export interface Member extends SignedInUser {
  readonly orgId: string;
  readonly role: MemberRole;
  readonly actor: Extract<Actor, { kind: 'member' }>;
}

/** Set by the guard before the handler runs. */
export type DashboardRequest = FastifyRequest & {
  signedIn?: SignedInUser;
  member?: Member;
};

/** The caller of a route that is marked `SignedIn`. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const { signedIn } = context.switchToHttp().getRequest<DashboardRequest>();
  if (!signedIn) throw new Error('The route is not marked SignedIn');
  return signedIn;
});

/** The caller of a route that is marked `OpenToAll`, where there is a session; null otherwise. */
export const MaybeUser = createParamDecorator(
  (_: unknown, context: ExecutionContext) =>
    context.switchToHttp().getRequest<DashboardRequest>().signedIn ?? null,
);

/** The caller of a route that is marked `Needs`. */
export const CurrentMember = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const { member } = context.switchToHttp().getRequest<DashboardRequest>();
  if (!member) throw new Error('The route is not marked Needs');
  return member;
});
