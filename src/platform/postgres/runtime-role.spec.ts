import { expect, test } from 'vitest';
import type { Queryable } from './queryable.js';
import { ensureRuntimeRole } from './runtime-role.js';

/** A server without the role, where creating it fails as told and everything else succeeds. */
function serverWhereCreating(failsWith: string | null): Queryable & { readonly said: string[] } {
  const said: string[] = [];
  return {
    said,
    query: async <Row>(sql: string): Promise<Row[]> => {
      said.push(sql);
      if (sql.startsWith('CREATE ROLE') && failsWith) {
        throw Object.assign(new Error('refused'), { code: failsWith });
      }
      if (sql.includes('session_user')) return [{ login: 'owner' }] as Row[];
      if (sql.includes('AS known')) return [{ known: true, may_set: false }] as Row[];
      return [];
    },
  };
}

test('a login that may not create roles is told what a DBA has to run', async () => {
  const failing = ensureRuntimeRole(serverWhereCreating('42501'), 'app"login');
  await expect(failing).rejects.toThrow(
    'CREATE ROLE shunt_runtime NOLOGIN NOSUPERUSER NOBYPASSRLS; GRANT shunt_runtime TO "app""login";',
  );
});

test('a role that another database creates at the same moment is a success', async () => {
  for (const state of ['42710', '23505']) {
    const server = serverWhereCreating(state);
    await ensureRuntimeRole(server, 'app');
    expect(server.said).toContain('GRANT shunt_runtime TO "app"');
  }
});

test('both the runtime login and the migrating one may act as the role', async () => {
  const server = serverWhereCreating(null);
  await ensureRuntimeRole(server, 'app');
  expect(server.said.filter((sql) => sql.startsWith('GRANT'))).toEqual([
    'GRANT shunt_runtime TO "app"',
    'GRANT shunt_runtime TO "owner"',
  ]);
});
