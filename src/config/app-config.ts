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
  /** `gateway` runs no jobs; `worker` forwards no calls and serves no pages. */
  readonly role: Environment['SHUNT_ROLE'];
  /** Where people and SDKs reach it, without a slash at the end; null: wherever a request came to. */
  readonly publicUrl: string | null;
  /** Origins beside its own whose pages may use the dashboard's API. */
  readonly allowedOrigins: readonly string[];
  /** False where nobody makes an account without an invitation. */
  readonly signUpOpen: boolean;
  /** A listener of its own for `/admin`; null where the common one serves it. */
  readonly adminListener: { readonly host: string; readonly port: number } | null;
  /** Null: billing is off. */
  readonly paddle: {
    readonly apiKey: string;
    readonly webhookSecret: string;
    readonly environment: 'production' | 'sandbox';
    /** Another address of Paddle's API than the environment's own. */
    readonly baseUrl: string | null;
  } | null;
  /** Null: mail stays in the outbox. */
  readonly mail: { readonly smtpUrl: string; readonly from: string } | null;
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
    role: read.SHUNT_ROLE,
    publicUrl: read.SHUNT_PUBLIC_URL?.replace(/\/+$/, '') ?? null,
    allowedOrigins: allowedOriginsOf(read),
    signUpOpen: read.SHUNT_SIGN_UP === 'open',
    adminListener: adminListenerOf(read),
    paddle: paddleOf(read),
    mail: mailOf(read),
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

function allowedOriginsOf(env: Environment): readonly string[] {
  const parts = env.SHUNT_ALLOWED_ORIGINS.split(',').map((part) => part.trim());
  const origins = parts.filter((part) => part !== '');
  for (const origin of origins) {
    if (URL.parse(origin)?.origin === origin) continue;
    throw new ConfigError(
      `SHUNT_ALLOWED_ORIGINS takes origins such as https://app.example.com, separated by commas; "${origin}" is none.`,
    );
  }
  return origins;
}

function adminListenerOf(env: Environment): AppConfig['adminListener'] {
  if (env.SHUNT_ADMIN_PORT === undefined) {
    if (env.SHUNT_ADMIN_HOST === undefined) return null;
    throw new ConfigError('SHUNT_ADMIN_HOST needs SHUNT_ADMIN_PORT beside it.');
  }
  return { host: env.SHUNT_ADMIN_HOST ?? '127.0.0.1', port: env.SHUNT_ADMIN_PORT };
}

function paddleOf(env: Environment): AppConfig['paddle'] {
  const { PADDLE_API_KEY: apiKey, PADDLE_WEBHOOK_SECRET: webhookSecret } = env;
  if (apiKey && webhookSecret) {
    const baseUrl = env.PADDLE_BASE_URL?.replace(/\/+$/, '') ?? null;
    return { apiKey, webhookSecret, environment: env.PADDLE_ENVIRONMENT, baseUrl };
  }
  if (apiKey || webhookSecret) {
    throw new ConfigError('PADDLE_API_KEY and PADDLE_WEBHOOK_SECRET go together: set both.');
  }
  return null;
}

function mailOf(env: Environment): AppConfig['mail'] {
  if (env.SMTP_URL === undefined) return null;
  if (!/^smtps?:$/.test(new URL(env.SMTP_URL).protocol)) {
    throw new ConfigError('SMTP_URL begins with smtp:// or smtps://.');
  }
  if (env.MAIL_FROM === undefined) {
    throw new ConfigError(
      'SMTP_URL needs MAIL_FROM beside it, such as "Shunt <shunt@example.com>".',
    );
  }
  return { smtpUrl: env.SMTP_URL, from: env.MAIL_FROM };
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
