import { DataSource, type QueryRunner } from 'typeorm';
import type { Logger } from '../telemetry/logger.js';
import { RUNTIME_ROLE, withSettings } from './connection-url.js';
import { NotificationListener, type Subscription } from './notification-listener.js';
import { QueryError, toQueryError } from './query-error.js';
import type { Queryable } from './queryable.js';
import { assertSafeLogin } from './runtime-login.js';
import { withinTime } from './time-limit.js';
import { scopeToDirectory, scopeToOrganization } from './session-scope.js';

export interface DatabaseOptions {
  readonly url: string;
  readonly logger: Logger;
  readonly poolSize?: number;
  readonly statementTimeoutMs?: number;
  /** Also how long a query waits for a free connection of the pool. */
  readonly connectTimeoutMs?: number;
  /** `shunt_runtime` unless a test asks for the owning login itself. */
  readonly role?: string | null;
}

const POOL_SIZE = 10;
const STATEMENT_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 3_000;
/** How much longer than the server's own limit a query may take before its connection counts as dead. */
const READ_GRACE_MS = 2_000;
const PING_LIMIT_MS = 2_000;
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * The pool of the runtime. Its sessions act as `shunt_runtime`: a role that owns nothing and is bound by row
 * security, whichever login the URL names. Rejections are `QueryError`s, which hold no parameter.
 */
export class Database implements Queryable {
  readonly #source: DataSource;
  readonly #listener: NotificationListener;
  readonly #role: string | null;
  #closing = false;

  private constructor(source: DataSource, listener: NotificationListener, role: string | null) {
    this.#source = source;
    this.#listener = listener;
    this.#role = role;
  }

  /** Connects once, to know that the login and its role work; later losses heal by themselves. */
  static async connect(options: DatabaseOptions): Promise<Database> {
    const database = Database.unconnected(options);
    try {
      await database.open();
    } catch (error) {
      await database.close();
      throw error;
    }
    return database;
  }

  /** One whose queries all find the database away, until `open` has succeeded. */
  static unconnected(options: DatabaseOptions): Database {
    const role = options.role === undefined ? RUNTIME_ROLE : options.role;
    const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
    const url = withSettings(options.url, {
      ...(role === null ? {} : { role }),
      statement_timeout: String(statementTimeoutMs),
      idle_in_transaction_session_timeout: String(statementTimeoutMs * 2),
      timezone: 'UTC',
    });
    const source = new DataSource({
      type: 'postgres',
      url,
      logging: false,
      poolSize: options.poolSize ?? POOL_SIZE,
      connectTimeoutMS: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      applicationName: 'shunt',
      poolErrorHandler: (error: unknown) => database.#idleLost(options.logger, error),
      extra: { query_timeout: statementTimeoutMs + READ_GRACE_MS, keepAlive: true },
    });
    const listener = new NotificationListener(url, options.logger);
    const database: Database = new Database(source, listener, role);
    return database;
  }

  get isOpen(): boolean {
    return this.#source.isInitialized;
  }

  /** Connects an unconnected one; may be tried again where it failed. */
  async open(): Promise<void> {
    try {
      await this.#source.initialize();
      if (this.#role !== null) await this.#assertRole(this.#role);
    } catch (error) {
      if (this.#source.isInitialized) await this.#source.destroy().catch(() => undefined);
      throw toQueryError(error);
    }
  }

  async query<Row = Record<string, unknown>>(
    sql: string,
    parameters: readonly unknown[] = [],
  ): Promise<Row[]> {
    return this.#withRunner((runner) => run<Row>(runner, sql, parameters));
  }

  /** All of `work` or nothing. It sees no tenant's rows unless it scopes itself (session-scope.ts). */
  async transaction<T>(
    work: (q: Queryable) => Promise<T>,
    isolation?: 'REPEATABLE READ',
  ): Promise<T> {
    return this.#withRunner(async (runner) => {
      await runner.startTransaction(isolation);
      const result = await work({ query: (sql, parameters) => run(runner, sql, parameters ?? []) });
      await runner.commitTransaction();
      return result;
    });
  }

  /** A transaction that sees and writes the rows of one organization, and of no other. */
  async tenant<T>(orgId: string, work: (q: Queryable) => Promise<T>): Promise<T> {
    return this.transaction(async (q) => {
      await scopeToOrganization(q, orgId);
      return work(q);
    });
  }

  /** As `tenant`, and all of it sees what was committed when it began. For reading: a write may be refused. */
  async tenantSnapshot<T>(orgId: string, work: (q: Queryable) => Promise<T>): Promise<T> {
    return this.transaction(async (q) => {
      await scopeToOrganization(q, orgId);
      return work(q);
    }, 'REPEATABLE READ');
  }

  /** A transaction that may read the list of organizations, for operators and jobs; use `tenant` for each. */
  async directory<T>(work: (q: Queryable) => Promise<T>): Promise<T> {
    return this.transaction(async (q) => {
      await scopeToDirectory(q);
      return work(q);
    });
  }

  /** Returns what ends the subscription; the connection is made, and made again, in the background. */
  listen(
    channel: string,
    onMessage: Subscription['onMessage'],
    onReconnect?: () => void,
  ): () => void {
    return this.#listener.subscribe(channel, { onMessage, onReconnect });
  }

  /** Rejects where the database does not answer within 2 s. */
  async ping(): Promise<void> {
    await withinTime(this.query('SELECT 1'), PING_LIMIT_MS);
  }

  /** For production: throws a `ConfigError` where the login could step around row security. */
  async assertSafeRuntimeLogin(): Promise<void> {
    await assertSafeLogin(this);
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#listener.close();
    if (!this.#source.isInitialized) return;
    // The pool waits for its borrowed connections; a query that hangs must not keep the process.
    const ended = this.#source.destroy().catch(() => undefined);
    await Promise.race([
      ended,
      new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref()),
    ]);
  }

  #idleLost(logger: Logger, error: unknown): void {
    if (!this.#closing) logger.warn({ err: error }, 'an idle database connection was lost');
  }

  async #assertRole(role: string): Promise<void> {
    const [row] = await this.query<{ role: string }>('SELECT current_user AS role');
    if (row?.role === role) return;
    throw new Error(
      `The database session does not act as ${role}: a connection pooler in between drops start-up options. ` +
        'Connect directly, or let the pooler pass "options".',
    );
  }

  async #withRunner<T>(work: (runner: QueryRunner) => Promise<T>): Promise<T> {
    const runner = this.#source.createQueryRunner();
    try {
      await runner.connect();
      return await work(runner);
    } catch (error) {
      const reduced = toQueryError(error);
      await abandon(runner, reduced);
      throw reduced;
    } finally {
      await runner.release();
    }
  }
}

async function run<Row>(
  runner: QueryRunner,
  sql: string,
  parameters: readonly unknown[],
): Promise<Row[]> {
  try {
    const result = await runner.query(sql, [...parameters], true);
    return result.records as Row[];
  } catch (error) {
    throw toQueryError(error);
  }
}

/** Ends what the failed work left open, so that the next borrower gets a clean connection or a new one. */
async function abandon(runner: QueryRunner, error: unknown): Promise<void> {
  if (runner.isReleased) return;
  if (error instanceof QueryError && error.code === 'timeout') {
    // The answer may still come: a connection in that state is closed, not reused.
    const client = (await runner.connect().catch(() => null)) as { end(): Promise<void> } | null;
    client?.end().catch(() => undefined);
    return;
  }
  if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
}
