import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { isUnavailable, toQueryError } from './query-error.js';
import type { Queryable } from './queryable.js';
import { withSettings } from './connection-url.js';

export interface SingleConnectionOptions {
  readonly url: string;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** One session for the length of `work`: for what must not run in a pool, such as session locks and `CREATE DATABASE`. */
export async function withConnection<T>(
  options: SingleConnectionOptions,
  work: (connection: Queryable) => Promise<T>,
): Promise<T> {
  const client = new Client({
    connectionString: withSettings(options.url, {
      statement_timeout: String(options.statementTimeoutMs),
      lock_timeout: String(options.lockTimeoutMs ?? 0),
    }),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: options.statementTimeoutMs + 5_000,
    application_name: 'shunt-setup',
  });
  // Without a listener, a connection that is cut between two queries would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(queryableOf(client));
  } catch (error) {
    throw toQueryError(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Waits until the server takes connections (it may be starting beside this process); throws when it does not in time. */
export async function waitForServer(url: string, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
    try {
      await withConnection({ url, statementTimeoutMs: 2_000 }, (connection) =>
        connection.query('SELECT 1'),
      );
      return;
    } catch (error) {
      if (!isUnavailable(error) || performance.now() + pauseMs > deadline) throw error;
      await delay(pauseMs);
    }
  }
}

function queryableOf(client: Client): Queryable {
  return {
    query: async <Row>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> => {
      const { rows } = await client.query(sql, [...parameters]);
      return rows as Row[];
    },
  };
}
