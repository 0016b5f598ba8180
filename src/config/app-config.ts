import path from 'node:path';
import type { Provider } from '../domain/routing/provider.js';
import { isAddressOrRange } from '../platform/trusted-proxies.js';
import { ConfigError, readEnvironment, type Environment } from './environment.js';
import { resolveSecrets, type Secrets } from './secrets.js';

/** The frozen configuration of a process; made once, at its entry, by `loadConfig`. */
export interface AppConfig {
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  readonly logLevel: Environment['LOG_LEVEL'];
  /** Absolute. */
  readonly dataDir: string;
  /** Null where the embedded Postgres serves. */
  readonly database: { readonly url: string; readonly migrationUrl: string } | null;
  readonly redisUrl: string | null;
  /** 32 bytes each; `previous` is still read while `shunt rekey` has not been run. */
  readonly encryptionKeys: { readonly current: Buffer; readonly previous: Buffer | null };
  readonly secrets: Omit<Secrets, 'encryptionKey'>;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Addresses or CIDR ranges whose `x-forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[];
  readonly metricsToken: string | null;
  readonly defaultRequestsPerMinute: number;
  /** Base URLs in the form that the provider's own SDK takes: OpenAI's ends in `/v1`, the others are bare origins. */
  readonly upstreams: Readonly<Record<Provider, string>>;
  readonly bootstrap: {
    readonly email: string | null;
    readonly password: string | null;
    readonly projectKey: string | null;
    readonly providerKeys: Readonly<Partial<Record<Provider, string>>>;
  };
}

export const APP_CONFIG = Symbol('AppConfig');

/** Reads and checks the environment. Throws `ConfigError` with what to change. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): AppConfig {
  const read = readEnvironment(env);
  const production = read.NODE_ENV === 'production';
  const { encryptionKey, ...secrets } = resolveSecrets(read);
  const trustedProxies = trustedProxiesOf(read);
  const tls = tlsOf(read);
  if (production) refuseUnsafeProduction(read, tls !== null || trustedProxies.length > 0);
  return Object.freeze({
    production,
    host: read.HOST,
    port: read.PORT,
    logLevel: read.LOG_LEVEL,
    dataDir: path.resolve(read.SHUNT_DATA_DIR),
    database: databaseOf(read),
    redisUrl: read.REDIS_URL ?? null,
    encryptionKeys: {
      current: keyBytes('SHUNT_ENCRYPTION_KEY', encryptionKey),
      previous: read.SHUNT_ENCRYPTION_KEY_PREVIOUS
        ? keyBytes('SHUNT_ENCRYPTION_KEY_PREVIOUS', read.SHUNT_ENCRYPTION_KEY_PREVIOUS)
        : null,
    },
    secrets,
    tls,
    trustedProxies,
    metricsToken: read.SHUNT_METRICS_TOKEN ?? null,
    defaultRequestsPerMinute: read.SHUNT_ORG_RATE_LIMIT,
    upstreams: upstreamsOf(read),
    bootstrap: bootstrapOf(read),
  });
}

function trustedProxiesOf(env: Environment): readonly string[] {
  const parts = env.SHUNT_TRUSTED_PROXIES.split(',').map((part) => part.trim());
  const addresses = parts.filter((part) => part !== '');
  for (const address of addresses) {
    if (isAddressOrRange(address)) continue;
    throw new ConfigError(
      `SHUNT_TRUSTED_PROXIES takes IP addresses and CIDR ranges, separated by commas; "${address}" is neither.`,
    );
  }
  return addresses;
}

function databaseOf(env: Environment): AppConfig['database'] {
  if (env.DATABASE_URL === undefined) return null;
  return { url: env.DATABASE_URL, migrationUrl: env.DATABASE_MIGRATION_URL ?? env.DATABASE_URL };
}

function upstreamsOf(env: Environment): AppConfig['upstreams'] {
  const bare = (base: string): string => base.replace(/\/+$/, '');
  return {
    openai: bare(env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'),
    anthropic: bare(env.ANTHROPIC_BASE_URL ?? 'https://api.anthropic.com'),
    google: bare(env.GOOGLE_BASE_URL ?? 'https://generativelanguage.googleapis.com'),
    groq: bare(env.GROQ_BASE_URL ?? 'https://api.groq.com'),
  };
}

function bootstrapOf(env: Environment): AppConfig['bootstrap'] {
  const keys: Partial<Record<Provider, string | undefined>> = {
    openai: env.OPENAI_API_KEY,
    anthropic: env.ANTHROPIC_API_KEY,
    google: env.GEMINI_API_KEY,
    groq: env.GROQ_API_KEY,
  };
  return {
    email: env.SHUNT_BOOTSTRAP_EMAIL ?? null,
    password: env.SHUNT_BOOTSTRAP_PASSWORD ?? null,
    projectKey: env.SHUNT_BOOTSTRAP_PROJECT_KEY ?? null,
    providerKeys: Object.fromEntries(Object.entries(keys).filter(([, key]) => key !== undefined)),
  };
}

function tlsOf(env: Environment): AppConfig['tls'] {
  const { SHUNT_TLS_CERT_FILE: certFile, SHUNT_TLS_KEY_FILE: keyFile } = env;
  if (certFile && keyFile) return { certFile, keyFile };
  if (certFile || keyFile) {
    throw new ConfigError('SHUNT_TLS_CERT_FILE and SHUNT_TLS_KEY_FILE go together: set both.');
  }
  return null;
}

function refuseUnsafeProduction(env: Environment, hasTls: boolean): void {
  if (env.DATABASE_URL === undefined) {
    throw new ConfigError(
      'Production needs DATABASE_URL: the embedded Postgres is for trying out and for one small machine.',
    );
  }
  if (!hasTls) {
    throw new ConfigError(
      'Production needs TLS: set SHUNT_TLS_CERT_FILE and SHUNT_TLS_KEY_FILE, or SHUNT_TRUSTED_PROXIES to the proxy that ends it.',
    );
  }
}

function keyBytes(name: string, base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 32) return bytes;
  throw new ConfigError(`${name} must be 32 bytes in base64: openssl rand -base64 32`);
}
