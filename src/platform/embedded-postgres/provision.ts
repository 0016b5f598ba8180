import { RUNTIME_ROLE } from '../postgres/connection-url.js';
import type { Queryable } from '../postgres/queryable.js';
import { withConnection } from '../postgres/single-connection.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { SUPERUSER, type RunningServer } from './postmaster.js';
import type { Credentials } from './server-home.js';

const OWNER = 'shunt_owner';
const RUNTIME = 'shunt_app';
const DATABASE = 'shunt';
const STATEMENT_TIMEOUT_MS = 20_000;

export interface ServerUrls {
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
}

/**
 * Makes the logins and the database that are missing; the superuser serves for nothing else. Connecting also
 * proves that the server on that port is the one of this directory: SCRAM makes it show that it knows the password.
 */
export async function provision(
  server: RunningServer,
  credentials: Credentials,
): Promise<ServerUrls> {
  const url = (login: string, password: string, database: string): string =>
    `postgres://${login}:${password}@127.0.0.1:${server.port}/${database}`;
  try {
    await withConnection(
      {
        url: url(SUPERUSER, credentials.superuser, 'postgres'),
        statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      },
      (superuser) => createMissing(superuser, credentials),
    );
  } catch (error) {
    throw new EmbeddedPostgresError(`the server on port ${server.port} refuses its set-up`, {
      cause: error,
    });
  }
  return {
    ownerUrl: url(OWNER, credentials.owner, DATABASE),
    runtimeUrl: url(RUNTIME, credentials.runtime, DATABASE),
  };
}

async function createMissing(superuser: Queryable, credentials: Credentials): Promise<void> {
  const plain = 'NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION';
  const roles = await namesOf(superuser, 'SELECT rolname::text AS name FROM pg_roles');
  if (!roles.has(RUNTIME_ROLE)) {
    await superuser.query(`CREATE ROLE ${RUNTIME_ROLE} NOLOGIN NOCREATEDB ${plain}`);
  }
  // Passwords are base64url: nothing in them needs quoting, and DDL takes no parameters.
  if (!roles.has(OWNER)) {
    await superuser.query(
      `CREATE ROLE ${OWNER} LOGIN CREATEDB ${plain} PASSWORD '${credentials.owner}'`,
    );
  }
  if (!roles.has(RUNTIME)) {
    await superuser.query(
      `CREATE ROLE ${RUNTIME} LOGIN NOCREATEDB ${plain} PASSWORD '${credentials.runtime}'`,
    );
  }
  await superuser.query(`GRANT ${RUNTIME_ROLE} TO ${OWNER}, ${RUNTIME}`);
  const databases = await namesOf(superuser, 'SELECT datname::text AS name FROM pg_database');
  if (databases.has(DATABASE)) return;
  await superuser.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER}`);
  await superuser.query(`REVOKE ALL ON DATABASE ${DATABASE} FROM PUBLIC`);
  await superuser.query(`GRANT CONNECT ON DATABASE ${DATABASE} TO ${RUNTIME_ROLE}`);
  await superuser.query(`GRANT CONNECT ON DATABASE ${DATABASE} TO ${RUNTIME}`);
}

async function namesOf(q: Queryable, sql: string): Promise<Set<string>> {
  const rows = await q.query<{ name: string }>(sql);
  return new Set(rows.map((row) => row.name));
}
