import path from 'node:path';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { startEmbeddedPostgres } from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';

export type LoggedCall = Omit<CallRecord, 'started_at_ms'>;

const logger = createLogger('silent');

/** A second reader of the product's database, with the rights of the product's own login. */
export class RequestLogReader {
  private constructor(
    readonly database: Database,
    readonly close: () => Promise<void>,
  ) {}

  static async at(url: string): Promise<RequestLogReader> {
    const database = await Database.connect({ url, logger, poolSize: 2 });
    return new RequestLogReader(database, () => database.close());
  }

  /** Of an embedded server, which is started where it does not run; `close` lets go of it. */
  static async embeddedIn(dataDir: string): Promise<RequestLogReader> {
    const dir = path.join(dataDir, 'postgres');
    const server = await startEmbeddedPostgres({ dir, enclosing: dataDir, logger });
    const database = await Database.connect({ url: server.runtimeUrl, logger, poolSize: 2 });
    return new RequestLogReader(database, async () => {
      await database.close();
      await server.stop();
    });
  }

  async organizations(): Promise<string[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ id: string }>('SELECT id FROM organizations'),
    );
    return rows.map(({ id }) => id);
  }

  /** All records of all organizations. */
  async rows(): Promise<LoggedCall[]> {
    const ofEach = await Promise.all(
      (await this.organizations()).map((orgId) =>
        this.database.tenant(orgId, (q) => q.query<LoggedCall>('SELECT * FROM request_log')),
      ),
    );
    return ofEach.flat();
  }

  async ids(): Promise<string[]> {
    return (await this.rows()).map((row) => row.request_id);
  }
}
