import { describe, expect, test } from 'vitest';
import { clientLabelOf } from './client-label.js';
import { newInvitationToken, organizationOfToken } from './invitation-token.js';
import { faultOfPassword } from './password-rules.js';

describe('a new password', () => {
  test.each([
    ['ninechars', /at least 10/],
    ['x'.repeat(73), /at most 72/],
    ['é'.repeat(37), /at most 72/],
    ['owner@example.test', /not your address/],
    [' OWNER@example.test ', /not your address/],
    ['longowner123!', /not your address/, 'longowner@example.test'],
  ])('%j is refused', (password, fault, email = 'owner@example.test') => {
    expect(faultOfPassword(password, email)).toMatch(fault);
  });

  test.each(['tencharsok', 'x'.repeat(72), 'correct horse battery'])('%j is taken', (password) => {
    expect(faultOfPassword(password, 'owner@example.test')).toBeNull();
  });
});

test.each([
  ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0',
    'Edge on Windows',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19.0 Safari/604.1',
    'Safari on iOS',
  ],
  ['curl/8.0 someone@example.test', 'A program'],
  [undefined, 'A program'],
])('of a browser only its kind is kept: %s', (userAgent, label) => {
  expect(clientLabelOf(userAgent)).toBe(label);
});

test('an invitation says whose it is, and nothing else is taken for one', () => {
  const orgId = '0190f3a2-1111-7222-8333-444455556666';
  const token = newInvitationToken(orgId);
  expect(organizationOfToken(token)).toBe(orgId);
  expect(organizationOfToken(token.slice(1))).toBeNull();
  expect(organizationOfToken('')).toBeNull();
});
