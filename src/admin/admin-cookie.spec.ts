import { expect, test } from 'vitest';
import { cookieNameOf, endedCookie, sessionCookie, sessionIdOf } from './admin-cookie.js';

const secrets = {
  sessionSecret: 'a'.repeat(32),
  signingKey: '',
  adminSecret: '',
  adminTotpSecret: '',
};
const [development, production] = [
  { production: false, secrets },
  { production: true, secrets },
];
const id = '6f7d0b0a-95f1-4c9b-8a51-0f2c8f6f0a11';

test('in production the cookie is Secure, and its name holds browsers to that', () => {
  for (const cookie of [sessionCookie(production, { id }), endedCookie(production)]) {
    expect(cookie).toMatch(
      /^__Secure-shunt_admin=.*; Path=\/admin; Max-Age=\d+; HttpOnly; SameSite=Strict; Secure$/,
    );
  }
  expect(sessionCookie(development, { id })).not.toContain('Secure');
});

test('only what was signed for this purpose with this secret names a session', () => {
  const sent = sessionCookie(development, { id }).split(';')[0]!;
  expect(sessionIdOf(development, `a=b; ${sent}`)).toBe(id);
  const other = { ...development, secrets: { ...secrets, sessionSecret: 'b'.repeat(32) } };
  expect(sessionIdOf(other, sent)).toBeNull();
  expect(sessionIdOf(production, sent)).toBeNull();
  expect(sessionIdOf(development, undefined)).toBeNull();
  expect(sessionIdOf(development, `${cookieNameOf(development)}=${id}`)).toBeNull();
});
