import { ConfigError } from '../../config/environment.js';
import type { Queryable } from './queryable.js';

interface LoginRow {
  readonly login: string;
  readonly superuser: boolean;
  readonly bypasses: boolean;
  readonly owns: boolean;
}

/** Owning a table, or being a member of a role that does, is enough to switch row security off. */
const LOGIN_QUERY = `
  SELECT session_user::text AS login,
         role.rolsuper AS superuser,
         role.rolbypassrls AS bypasses,
         EXISTS (
           SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
              AND c.relkind IN ('r', 'p')
              AND pg_has_role(session_user, c.relowner, 'MEMBER')
         ) AS owns
    FROM pg_roles role
   WHERE role.rolname = session_user`;

/** Throws a `ConfigError` where the login behind the session is a superuser, bypasses row security or owns tables. */
export async function assertSafeLogin(q: Queryable): Promise<void> {
  const [row] = await q.query<LoginRow>(LOGIN_QUERY);
  if (!row) throw new ConfigError('The login of DATABASE_URL cannot be found in pg_roles.');
  const fault = row.superuser
    ? 'is a superuser'
    : row.bypasses
      ? 'has BYPASSRLS'
      : row.owns
        ? 'owns tables (or is a member of the role that does)'
        : null;
  if (fault === null) return;
  throw new ConfigError(
    `The login "${row.login}" of DATABASE_URL ${fault}, so it could step around row security. ` +
      'Set DATABASE_MIGRATION_URL to the owning login, and DATABASE_URL to a plain one: ' +
      "CREATE ROLE shunt_app LOGIN PASSWORD '...' NOSUPERUSER NOBYPASSRLS;",
  );
}
