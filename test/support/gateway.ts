import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { startApp, type App } from '../../src/app.js';
import { loadConfig } from '../../src/config/app-config.js';
import { PASSTHROUGH_LIMITS, type UpstreamLimits } from '../../src/gateway/stages/forward.js';
import type { JobIntervals } from '../../src/jobs/job-table.js';
import type { CallRecord } from '../../src/modules/records/call-record.js';
import { createLogger } from '../../src/platform/telemetry/logger.js';
import { copyTemplate } from './postgres-template.js';

export const PROJECT_KEY = 'shunt_test_key_0123456789abcdefghij';

export interface GatewayOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly limits?: Partial<UpstreamLimits>;
  /** Of the jobs, which run with `SHUNT_ROLE: 'all'`. */
  readonly jobIntervals?: JobIntervals;
}

/** The whole product in this process: embedded Postgres, sandbox, gateway; nothing shared with other tests. */
export interface TestGateway {
  readonly origin: string;
  readonly projectKey: string;
  readonly app: App;
  readonly dataDir: string;
  /** Every log line so far, as written. */
  logs(): string;
  /** The stored record of a call, once what was spooled is in the database. */
  record(requestId: string): Promise<CallRecord>;
  records(): Promise<CallRecord[]>;
  stop(): Promise<void>;
}

export async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-e2e-'));
  copyTemplate(path.join(dataDir, 'postgres'));
  const lines: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  const config = loadConfig({
    NODE_ENV: 'test',
    PORT: '0',
    SHUNT_DATA_DIR: dataDir,
    SHUNT_BOOTSTRAP_PROJECT_KEY: PROJECT_KEY,
    SHUNT_BOOTSTRAP_EMAIL: 'owner@example.test',
    LOG_LEVEL: 'debug',
    // Jobs only where a test is about them: each takes its connections and its turns.
    SHUNT_ROLE: 'gateway',
    ...options.env,
  });
  const app = await startApp(
    config,
    createLogger(config.logLevel, sink),
    { ...PASSTHROUGH_LIMITS, ...options.limits },
    options.jobIntervals,
  );
  const { recorder, database } = app.engine;
  const rows = async (): Promise<CallRecord[]> => {
    if (!(await recorder.flush(20_000))) throw new Error('records were not written in time');
    // A test may have broken the spool's directory on purpose.
    const [refused] = await recorder.deadLetters.read().catch(() => []);
    if (refused !== undefined) throw new Error(`the database refused a record: ${refused.reason}`);
    const found = await app.engine.principals.find(PROJECT_KEY);
    if (found.kind !== 'known') throw new Error(`the test's key is ${found.kind}`);
    return database.tenant(found.principal.orgId, (q) =>
      q.query<CallRecord>('SELECT * FROM request_log ORDER BY started_at, request_id'),
    );
  };
  return {
    origin: app.origin,
    projectKey: PROJECT_KEY,
    app,
    dataDir,
    logs: () => lines.join(''),
    records: rows,
    async record(requestId) {
      const found = (await rows()).filter((row) => row.request_id === requestId);
      if (found.length !== 1) throw new Error(`${found.length} records of ${requestId}`);
      return found[0]!;
    },
    async stop() {
      await app.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
