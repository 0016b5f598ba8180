import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AppConfig } from '../config/app-config.js';
import { SESSION_MS, type OperatorSession } from '../modules/operators/operator-sessions.js';

type CookieConfig = Pick<AppConfig, 'production' | 'secrets'>;

const COOKIES_READ_MAX = 5;
const SESSION_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `__Host-` would ask for `Path=/`, and this cookie is sent to `/admin` alone. */
export function cookieNameOf({ production }: Pick<AppConfig, 'production'>): string {
  return production ? '__Secure-shunt_admin' : 'shunt_admin';
}

/** For `set-cookie`. */
export function sessionCookie(config: CookieConfig, { id }: Pick<OperatorSession, 'id'>): string {
  return cookie(config, `${id}.${macOf(config, id)}`, SESSION_MS / 1_000);
}

export function endedCookie(config: CookieConfig): string {
  return cookie(config, '', 0);
}

/** The session that a request names; null where none is, or the signature is not the installation's. */
export function sessionIdOf(config: CookieConfig, header: string | undefined): string | null {
  const prefix = `${cookieNameOf(config)}=`;
  const values = (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(prefix));
  // A sibling domain can set a cookie of the same name beside it.
  for (const pair of values.slice(0, COOKIES_READ_MAX)) {
    const [id = '', mac = ''] = pair.slice(prefix.length).split('.');
    if (SESSION_ID.test(id) && isEqual(mac, macOf(config, id))) return id;
  }
  return null;
}

function cookie(config: CookieConfig, value: string, seconds: number): string {
  const secure = config.production ? '; Secure' : '';
  return `${cookieNameOf(config)}=${value}; Path=/admin; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
}

function macOf({ secrets }: CookieConfig, id: string): string {
  return createHmac('sha256', secrets.sessionSecret)
    .update(`shunt_admin ${id}`)
    .digest('base64url');
}

function isEqual(sent: string, expected: string): boolean {
  const [a, b] = [Buffer.from(sent), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
