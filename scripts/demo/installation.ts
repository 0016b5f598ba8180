import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { generate } from 'otplib';
import { startApp, type App } from '../../src/app.js';
import { loadConfig } from '../../src/config/app-config.js';
import type { FirstInstallation } from '../../src/modules/bootstrap/bootstrap.js';
import type { CallRecord } from '../../src/modules/records/call-record.js';
import { createLogger, type Logger } from '../../src/platform/telemetry/logger.js';
import { ApiClient } from './api-client.js';
import { startProviders, type DemoProviders } from './providers.js';
import { must } from './screen.js';

const FLUSH_MS_MAX = 60_000;
const LOG_LINES_MAX = 20;
const PROVIDER_KEY = 'sk-demo-not-a-key';
/** Calls a minute of the organization: the demo makes in seconds what takes days. */
const RATE_LIMIT = '1000000';

/** The whole product in this process, with its providers, its first owner and its first operator. */
export interface Installation {
  readonly origin: string;
  readonly app: App;
  readonly providers: DemoProviders;
  readonly orgId: string;
  readonly directory: string;
  readonly owner: ApiClient;
  readonly operator: ApiClient;
  readonly logger: Logger;
  /** The last warnings that the product logged. */
  warnings(): readonly string[];
  /** Every record of the organization, once what was spooled is in the database. */
  records(): Promise<CallRecord[]>;
  close(): Promise<void>;
}

/** Takes nothing from the environment: an upstream or a database that is named there is none of the demo's business. */
export async function install(): Promise<Installation> {
  must(process.env['NODE_ENV'] !== 'production', 'it does not run where NODE_ENV is "production"');
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).toReversed()) await one();
  };
  try {
    const directory = await mkdtemp(path.join(tmpdir(), 'shunt-demo-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const providers = await startProviders();
    closers.push(() => providers.close());
    const lines: string[] = [];
    const logger = createLogger('warn', linesInto(lines));
    const config = loadConfig(environmentOf(path.join(directory, 'data'), providers));
    refuseRealUpstream(config.upstreams);
    const app = await startApp(config, logger);
    closers.push(() => app.stop());
    const people = await meetPeople(app);
    return {
      ...people,
      origin: app.origin,
      app,
      providers,
      directory,
      logger,
      warnings: () => lines,
      records: () => recordsOf(app, people.orgId),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function environmentOf(dataDir: string, { baseUrls }: DemoProviders): Record<string, string> {
  return {
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: '0',
    SHUNT_DATA_DIR: dataDir,
    // The demo takes the jobs' steps itself, at its own clock's times.
    SHUNT_ROLE: 'gateway',
    SHUNT_ORG_RATE_LIMIT: RATE_LIMIT,
    SHUNT_BOOTSTRAP_EMAIL: 'owner@demo.invalid',
    OPENAI_BASE_URL: baseUrls.openai,
    ANTHROPIC_BASE_URL: baseUrls.anthropic,
    GOOGLE_BASE_URL: baseUrls.google,
    GROQ_BASE_URL: baseUrls.groq,
    OPENAI_API_KEY: PROVIDER_KEY,
    ANTHROPIC_API_KEY: PROVIDER_KEY,
    GEMINI_API_KEY: PROVIDER_KEY,
    GROQ_API_KEY: PROVIDER_KEY,
  };
}

/** Calls cost money anywhere else. That the answers are the sandbox's is looked at too, with every single one. */
export function refuseRealUpstream(upstreams: Readonly<Record<string, string>>): void {
  for (const [provider, url] of Object.entries(upstreams)) {
    must(new URL(url).hostname === '127.0.0.1', `${provider} is not on this machine: refused`);
  }
}

async function meetPeople(app: App): Promise<Pick<Installation, 'orgId' | 'owner' | 'operator'>> {
  const made = app.engine.bootstrapped as FirstInstallation | null;
  must(made?.kind === 'created' && made.secrets !== null, 'the first start made nobody');
  const { orgId, ownerEmail, secrets } = made;
  const { ownerPassword, operatorName, operatorSecret, operatorTotpSecret } = secrets;
  return {
    orgId,
    owner: await ApiClient.owner(app.origin, ownerEmail, ownerPassword),
    operator: await ApiClient.operator(app.origin, {
      name: operatorName,
      secret: operatorSecret,
      totp: await generate({ secret: operatorTotpSecret }),
    }),
  };
}

async function recordsOf(app: App, orgId: string): Promise<CallRecord[]> {
  const { recorder, database } = app.engine;
  must(await recorder.flush(FLUSH_MS_MAX), 'the records did not reach the database in time');
  const [refused] = await recorder.deadLetters.read().catch(() => []);
  must(refused === undefined, 'the database refused a record');
  return database.tenant(orgId, (q) =>
    q.query<CallRecord>('SELECT * FROM request_log ORDER BY started_at, request_id'),
  );
}

function linesInto(lines: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      if (lines.length > LOG_LINES_MAX) lines.shift();
      done();
    },
  });
}
