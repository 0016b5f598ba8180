import { RUNTIME_ROLE } from './connection-url.js';
import { sqlStateOf } from './query-error.js';
import type { Queryable } from './queryable.js';

const DUPLICATE_OBJECT = '42710';
const UNIQUE_VIOLATION = '23505';
const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * Makes `shunt_runtime` exist and lets both logins act as it. Roles belong to the whole cluster, so another
 * database's migration may create it at the same moment: that is success.
 */
export async function ensureRuntimeRole(owner: Queryable, runtimeLogin: string): Promise<void> {
  const [found] = await owner.query(`SELECT FROM pg_roles WHERE rolname = $1`, [RUNTIME_ROLE]);
  try {
    if (!found) await createRole(owner);
    const [self] = await owner.query<{ login: string }>('SELECT session_user::text AS login');
    for (const login of new Set([runtimeLogin, self?.login ?? runtimeLogin])) {
      await ensureMember(owner, login);
    }
  } catch (error) {
    if (sqlStateOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new Error(
      `The migrating login may not create or grant roles. Let a DBA run, once: ${dbaStatements(runtimeLogin)}`,
      { cause: error },
    );
  }
}

async function createRole(owner: Queryable): Promise<void> {
  try {
    await owner.query(`CREATE ROLE ${RUNTIME_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS`);
  } catch (error) {
    const state = sqlStateOf(error);
    if (state !== DUPLICATE_OBJECT && state !== UNIQUE_VIOLATION) throw error;
  }
}

async function ensureMember(owner: Queryable, login: string): Promise<void> {
  const [row] = await owner.query<{ known: boolean; may_set: boolean }>(
    `SELECT count(*) > 0 AS known, coalesce(bool_or(pg_has_role(oid, $2, 'MEMBER')), false) AS may_set
       FROM pg_roles WHERE rolname = $1`,
    [login, RUNTIME_ROLE],
  );
  if (!row?.known) throw new Error(`The login "${login}" of DATABASE_URL does not exist.`);
  if (row.may_set && (await maySetRole(owner, login))) return;
  await owner.query(`GRANT ${RUNTIME_ROLE} TO ${quoted(login)}`);
}

/** Since Postgres 16 a member may lack the right to SET ROLE: the creator of a role starts out so. */
async function maySetRole(owner: Queryable, login: string): Promise<boolean> {
  const [version] = await owner.query<{ num: string }>(
    `SELECT current_setting('server_version_num') AS num`,
  );
  if (Number(version?.num) < 160_000) return true;
  const [row] = await owner.query<{ may: boolean }>(
    `SELECT pg_has_role($1::name, $2::name, 'SET') AS may`,
    [login, RUNTIME_ROLE],
  );
  return row?.may ?? false;
}

function dbaStatements(runtimeLogin: string): string {
  return (
    `CREATE ROLE ${RUNTIME_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS; ` +
    `GRANT ${RUNTIME_ROLE} TO ${quoted(runtimeLogin)};`
  );
}

function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
