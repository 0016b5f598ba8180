import '@fastify/cookie';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** What the cookies and the CSRF tokens of the dashboard depend on. */
export interface CookieSettings {
  readonly production: boolean;
  readonly sessionSecret: string;
}

const ANONYMOUS_BYTES = 24;

/** `__Host-`: the browser takes it over https alone, for this host alone, and no neighbour can set it. */
function nameOf(name: string, { production }: CookieSettings): string {
  return production ? `__Host-${name}` : name;
}

export function sessionCookieName(settings: CookieSettings): string {
  return nameOf('shunt_session', settings);
}

export function anonymousCookieName(settings: CookieSettings): string {
  return nameOf('shunt_anonymous', settings);
}

/** For both cookies. Out of reach of scripts, and not sent along with another site's requests. */
export function cookieOptions({ production }: CookieSettings) {
  return { httpOnly: true, sameSite: 'lax', path: '/', secure: production, signed: true } as const;
}

/** The value of a cookie that this installation signed; null for any other. */
export function readSigned(request: FastifyRequest, name: string): string | null {
  const raw = request.cookies[name];
  if (raw === undefined) return null;
  const { valid, value } = request.unsignCookie(raw);
  return valid ? value : null;
}

export function setSessionCookie(
  reply: FastifyReply,
  settings: CookieSettings,
  session: { readonly token: string; readonly expiresAtMs: number },
): void {
  reply.setCookie(sessionCookieName(settings), session.token, {
    ...cookieOptions(settings),
    expires: new Date(session.expiresAtMs),
  });
}

export function clearSessionCookie(reply: FastifyReply, settings: CookieSettings): void {
  const { signed: _, ...options } = cookieOptions(settings);
  reply.clearCookie(sessionCookieName(settings), options);
}

/** What the CSRF token of somebody without a session is bound to; made and set where there is none. */
export function anonymousBinding(
  request: FastifyRequest,
  reply: FastifyReply,
  settings: CookieSettings,
): string {
  const name = anonymousCookieName(settings);
  const known = readSigned(request, name);
  if (known !== null) return known;
  const made = randomBytes(ANONYMOUS_BYTES).toString('base64url');
  reply.setCookie(name, made, cookieOptions(settings));
  return made;
}

/** A keyed hash of what it is bound to: another session, and somebody who reads the page of another, has another. */
export function csrfTokenFor(binding: string, { sessionSecret }: CookieSettings): string {
  const key = createHmac('sha256', sessionSecret).update('shunt csrf key').digest();
  return createHmac('sha256', key).update(binding).digest('base64url');
}

/** In constant time. */
export function isCsrfToken(given: unknown, binding: string, settings: CookieSettings): boolean {
  if (typeof given !== 'string') return false;
  const [expected, actual] = [Buffer.from(csrfTokenFor(binding, settings)), Buffer.from(given)];
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
