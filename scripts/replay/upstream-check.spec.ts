import { expect, test } from 'vitest';
import { upstreamOf } from './upstream-check.js';

test.each([
  [200, { 'x-shunt-synthetic': 'true' }, 'sandbox'],
  [200, { 'x-shunt-sandbox': '1' }, 'sandbox'],
  [401, {}, 'key_refused'],
  [200, {}, 'real'],
  [200, { 'x-shunt-sandbox': '0', 'x-shunt-synthetic': 'false' }, 'real'],
  [403, {}, 'real'],
  [503, {}, 'real'],
])('%d %j is %s: whatever does not say sandbox is real', (status, headers, expected) => {
  expect(upstreamOf(status, headers)).toBe(expected);
});
