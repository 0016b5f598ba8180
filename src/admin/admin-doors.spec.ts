import { expect, test } from 'vitest';
import { mayMeanAdmin } from './admin-doors.js';

test('whatever a reader could take for /admin is kept from the common listener', () => {
  const meant = [
    '/admin', '/admin/', '/admin?x=1', '/admin#x', '/admin/api/session', '//admin', '///admin/api', '/./admin',
    '/x/../admin', '/x/%2e%2e/admin', '/%61dmin/api/session', '/%2561dmin', '/ADMIN', '/Admin/api', '/admin/..%2f',
    '/admin/../admin', '/admin/..', '/%2fadmin', '/\\admin', 'http://host/admin/api', 'HTTPS://host//admin',
    '/admin;x=1', '/admin%2fapi', '/admin%3fx', '/..%2fadmin', 'admin', '/%5cadmin', '/.%2e/%61DMIN',
  ]; // prettier-ignore
  expect(meant.filter((target) => !mayMeanAdmin(target))).toEqual([]);
});

test('what is not /admin is left alone', () => {
  const other = [
    '/', '/administrator', '/api/admin', '/x/admin', '/admins', '/healthz', '/?admin', '/api?next=/admin', '/%zz', '*',
    'http://admin/', 'http://admin',
  ]; // prettier-ignore
  expect(other.filter((target) => mayMeanAdmin(target))).toEqual([]);
});
