import { expect, test } from 'vitest';
import { isFromOrigin, ownOrigin } from './same-origin.js';

const OWN = 'https://shunt.example';
const ACCEPTED = [OWN, 'https://app.example'];

test.each([
  ['the own origin', OWN, undefined, true],
  ['an origin that is allowed', 'https://app.example', 'cross-site', true],
  ['another origin', 'https://evil.example', undefined, false],
  ['another origin, whatever else it says', 'https://evil.example', 'same-origin', false],
  ['the own host over http', 'http://shunt.example', undefined, false],
  ['the own host on another port', 'https://shunt.example:8443', undefined, false],
  ['a host that begins like the own', 'https://shunt.example.evil.example', undefined, false],
  ['an opaque origin', 'null', 'same-origin', false],
  ['an empty origin', '', 'same-origin', false],
  ['no origin, but the browser says same-origin', undefined, 'same-origin', true],
  ['no origin, same site only', undefined, 'same-site', false],
  ['no origin, typed into the address bar', undefined, 'none', false],
  ['nothing at all', undefined, undefined, false],
])('a request from %s', (_, origin, secFetchSite, expected) => {
  expect(isFromOrigin({ origin, secFetchSite }, ACCEPTED)).toBe(expected);
});

const request = (protocol: string, host: string) => ({ protocol, host }) as never;

test('the own origin is the configured one, whatever the request says of itself', () => {
  const asked = request('http', 'attacker.example');
  expect(ownOrigin(asked, 'https://shunt.example/base')).toBe(OWN);
});

test('without a configured one it is scheme and host of the request; nonsense is none', () => {
  expect(ownOrigin(request('http', '127.0.0.1:8080'), null)).toBe('http://127.0.0.1:8080');
  expect(ownOrigin(request('https', 'shunt.example:443'), null)).toBe(OWN);
  expect(ownOrigin(request('http', ''), null)).toBeNull();
});

test('a configured URL of another scheme has no origin: what a sandboxed page says of itself is not it', () => {
  expect(ownOrigin(request('http', 'shunt.example'), 'shunt.example:8443')).toBeNull();
});
