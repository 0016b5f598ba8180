import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { embeddedLogins, type EmbeddedLogins } from '../../support/embedded-logins.js';
import { LeakHunt, randomUnit } from '../../support/leak-hunt.js';

export type Environment = Readonly<Record<string, string>>;

/** The variables without which production does not start. */
export const SECRETS = [
  'SHUNT_ENCRYPTION_KEY',
  'SHUNT_SESSION_SECRET',
  'SHUNT_SIGNING_KEY',
  'SHUNT_ADMIN_SECRET',
  'SHUNT_ADMIN_TOTP_SECRET',
] as const;

const long = (): string => randomUnit() + randomUnit() + randomUnit();

/** Everything that production asks for but a database, each value of nobody else's making. */
export function productionEnvironment(): Environment {
  const { privateKey } = generateKeyPairSync('ed25519');
  return {
    NODE_ENV: 'production',
    LOG_LEVEL: 'trace',
    SHUNT_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    SHUNT_SESSION_SECRET: long(),
    SHUNT_SIGNING_KEY: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    SHUNT_ADMIN_SECRET: long(),
    SHUNT_ADMIN_TOTP_SECRET: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP',
    SHUNT_TRUSTED_PROXIES: '127.0.0.1',
    SHUNT_METRICS_TOKEN: long(),
    SHUNT_BOOTSTRAP_EMAIL: 'owner@example.test',
    SHUNT_BOOTSTRAP_PASSWORD: long(),
    SHUNT_BOOTSTRAP_PROJECT_KEY: `shunt_${long()}`,
    OPENAI_API_KEY: `sk-${long()}`,
  };
}

const NOT_SECRET = new Set([
  'NODE_ENV',
  'LOG_LEVEL',
  'SHUNT_TRUSTED_PROXIES',
  'SHUNT_BOOTSTRAP_EMAIL',
  'SHUNT_DATA_DIR',
  'SHUNT_TLS_CERT_FILE',
  'SHUNT_TLS_KEY_FILE',
]);

/** Finds any secret of an environment in what a process wrote; of a URL the password. */
export function secretsIn(output: string, env: Environment): readonly string[] {
  const needles = Object.entries(env).flatMap(([name, value]) => {
    if (NOT_SECRET.has(name) || value === '') return [];
    const text = /^\w+:\/\//.test(value) ? new URL(value).password : value;
    return text === '' ? [] : [{ name, text }];
  });
  const hunt = new LeakHunt(needles);
  hunt.text('the output', output);
  return [...new Set(hunt.hits.map(({ needle }) => needle))];
}

async function freshDatabase({ ownerUrl, runtimeUrl }: EmbeddedLogins): Promise<Environment> {
  const name = `fresh_${randomUnit()}`;
  const options = { url: ownerUrl, statementTimeoutMs: 20_000 };
  await withConnection(options, (q) => q.query(`CREATE DATABASE ${name}`));
  const within = (url: string): string =>
    Object.assign(new URL(url), { pathname: name }).toString();
  return { DATABASE_URL: within(runtimeUrl), DATABASE_MIGRATION_URL: within(ownerUrl) };
}

/** A server of its own, with logins of every kind. */
export interface DatabaseServer {
  readonly directory: string;
  readonly logins: EmbeddedLogins;
  /** The variables of another, empty database on it. */
  freshDatabase(): Promise<Environment>;
  stop(): Promise<void>;
}

export async function startDatabaseServer(): Promise<DatabaseServer> {
  const directory = mkdtempSync(path.join(tmpdir(), 'shunt-e2e-'));
  // Passable for the user that the server drops to when the tests run as root.
  chmodSync(directory, 0o711);
  const postgres: EmbeddedPostgres = await startEmbeddedPostgres({
    dir: path.join(directory, 'postgres'),
    logger: createLogger('silent'),
    durable: false,
  });
  const logins = embeddedLogins(directory);
  return {
    directory,
    logins,
    freshDatabase: () => freshDatabase(logins),
    async stop() {
      await postgres.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
