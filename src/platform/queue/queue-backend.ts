import type { EventEmitter } from 'node:events';
import {
  createPostgresBackend,
  createRedisBackend,
  setDefaultBackendFactory,
  type BackendFactory,
  type ConnectionOptions,
} from 'bullmq';
import { RUNTIME_ROLE, withSettings } from '../postgres/connection-url.js';

/** Postgres keeps the queue, beside everything else, unless there is a Redis. */
export interface QueueServer {
  readonly redisUrl: string | null;
  /** The login of the runtime, whose sessions own nothing. */
  readonly runtimeUrl: string;
}

/** Where the queue's tables are; made by migrate-queue.ts, as the owner. */
export const QUEUE_SCHEMA = 'bullmq';

const STATEMENT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const IDLE_TIMEOUT_MS = 30_000;

/**
 * What a queue or a worker connects with. On Postgres each has a pool of `poolSize`, the worker one connection more,
 * on which it hears of new jobs; on Redis each has one connection, the worker two.
 */
export function queueConnection(server: QueueServer, poolSize: number): ConnectionOptions {
  const options =
    server.redisUrl === null
      ? postgresOptions(server.runtimeUrl, poolSize)
      : {
          url: server.redisUrl,
          connectTimeout: CONNECT_TIMEOUT_MS,
          // A command waits for the connection; what waits too long is ended from outside.
          maxRetriesPerRequest: null,
        };
  return options as ConnectionOptions;
}

function postgresOptions(url: string, max: number): object {
  return {
    // Settings travel in the URL: options given beside it are lost where the URL has options of its own.
    connectionString: withSettings(url, {
      role: RUNTIME_ROLE,
      search_path: QUEUE_SCHEMA,
      statement_timeout: String(STATEMENT_TIMEOUT_MS),
      timezone: 'UTC',
    }),
    schema: QUEUE_SCHEMA,
    migrate: false,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 2_000,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'shunt-jobs',
  };
}

/** The library takes its backend from one setting of the process; this one goes by what is connected with. */
const byConnection: BackendFactory = (name, options, more) => {
  const isPostgres = 'connectionString' in ((options.connection ?? {}) as object);
  if (!isPostgres) return (createRedisBackend as BackendFactory)(name, options, more);
  const backend = (createPostgresBackend as BackendFactory)(name, options, more);
  keepListening((backend as unknown as { readonly connection: ListeningConnection }).connection);
  return backend;
};
setDefaultBackendFactory(byConnection);

interface ListeningConnection {
  getListenClient(): Promise<EventEmitter>;
}

/**
 * The connection that hears of new jobs loses all its listeners when it is closed, a moment before it ends. A server
 * that says goodbye in that moment (it restarts: that is why everything is closed) would end the process.
 */
function keepListening(connection: ListeningConnection): void {
  const guarded = new WeakSet<EventEmitter>();
  const original = connection.getListenClient.bind(connection);
  connection.getListenClient = async () => {
    const client = await original();
    if (guarded.has(client)) return client;
    guarded.add(client);
    const removeAllListeners = client.removeAllListeners.bind(client);
    client.removeAllListeners = (event) => {
      // Without an argument it means all events; with one that is undefined it would not.
      if (event === undefined) removeAllListeners();
      else removeAllListeners(event);
      client.on('error', () => undefined);
      return client;
    };
    return client;
  };
}
