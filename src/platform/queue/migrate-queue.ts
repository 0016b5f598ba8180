import { runMigrations } from 'bullmq';
import { RUNTIME_ROLE } from '../postgres/connection-url.js';
import { withConnection } from '../postgres/single-connection.js';
import { QUEUE_SCHEMA } from './queue-backend.js';

const STATEMENT_TIMEOUT_MS = 120_000;
const LOCK_TIMEOUT_MS = 120_000;
/** Any number of their own: "shunt" and "queue" in ASCII. */
const LOCK_KEY = 0x71_75_65_75_65;

const GRANTS = `
  GRANT USAGE ON SCHEMA ${QUEUE_SCHEMA} TO ${RUNTIME_ROLE};
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${QUEUE_SCHEMA} TO ${RUNTIME_ROLE};
  REVOKE INSERT, UPDATE, DELETE ON ${QUEUE_SCHEMA}.migration FROM ${RUNTIME_ROLE};
  GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA ${QUEUE_SCHEMA} TO ${RUNTIME_ROLE};
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${QUEUE_SCHEMA} FROM PUBLIC;
  GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${QUEUE_SCHEMA} TO ${RUNTIME_ROLE};
`;

/**
 * Brings the queue's own schema up to date, as the owner, and lets the runtime use it: the runtime owns nothing there
 * either. Replicas may start together: one works, the others wait.
 */
export async function migrateQueue(ownerUrl: string): Promise<void> {
  const limits = { statementTimeoutMs: STATEMENT_TIMEOUT_MS, lockTimeoutMs: LOCK_TIMEOUT_MS };
  await withConnection({ url: ownerUrl, ...limits }, async (connection) => {
    // Held until the session ends.
    await connection.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
    const client = {
      query: async <Row>(text: string, parameters: readonly unknown[] = []) => ({
        rows: await connection.query<Row>(text, parameters),
      }),
    };
    await runMigrations(client, QUEUE_SCHEMA);
    await connection.query(GRANTS);
  });
}
