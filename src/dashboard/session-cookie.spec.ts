import { describe, expect, test } from 'vitest';
import {
  anonymousCookieName,
  cookieOptions,
  csrfTokenFor,
  isCsrfToken,
  sessionCookieName,
} from './session-cookie.js';

const production = { production: true, sessionSecret: 'a secret of the installation' };
const development = { ...production, production: false };

test('in production the cookies go over https alone, and to this host alone', () => {
  expect(sessionCookieName(production)).toBe('__Host-shunt_session');
  expect(anonymousCookieName(production)).toBe('__Host-shunt_anonymous');
  const options = cookieOptions(production);
  expect(options).toEqual({
    httpOnly: true,
    sameSite: 'lax',
    path: '/',
    secure: true,
    signed: true,
  });
});

test('in development they go without https, and are otherwise the same', () => {
  expect(sessionCookieName(development)).toBe('shunt_session');
  expect(cookieOptions(development)).toEqual({ ...cookieOptions(production), secure: false });
});

describe('a CSRF token', () => {
  test('fits what it was made for, and nothing else', () => {
    const token = csrfTokenFor('a session', production);
    expect(isCsrfToken(token, 'a session', production)).toBe(true);
    expect(isCsrfToken(token, 'another session', production)).toBe(false);
    expect(isCsrfToken(token, 'a session', { ...production, sessionSecret: 'another' })).toBe(
      false,
    );
  });

  test.each([undefined, null, '', 'x', ['x'], 7])('is not %j', (given) => {
    expect(isCsrfToken(given, 'a session', production)).toBe(false);
  });

  test('tells nothing of what it was made for', () => {
    expect(csrfTokenFor('a session', production)).not.toContain('session');
  });
});
