import { z } from 'zod';

const flagged = z.string().trim().min(1).optional();
const url = z.url().optional();
const webUrl = z
  .url({ protocol: /^https?$/, error: 'begins with https:// (or http://)' })
  .optional();

/** The environment, as README.md and `.env` know it. The only schema of it, and `loadConfig` its only reader. */
const environment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  HOST: z.string().default('127.0.0.1'),
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  SHUNT_DATA_DIR: z.string().default('.shunt'),
  SHUNT_ROLE: z.enum(['all', 'gateway', 'worker']).default('all'),
  SHUNT_PUBLIC_URL: webUrl,
  SHUNT_ALLOWED_ORIGINS: z.string().default(''),
  SHUNT_SIGN_UP: z.enum(['open', 'closed']).default('open'),
  SHUNT_ADMIN_HOST: flagged,
  SHUNT_ADMIN_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  DATABASE_URL: url,
  DATABASE_MIGRATION_URL: url,
  REDIS_URL: url,
  SHUNT_ENCRYPTION_KEY: flagged,
  SHUNT_ENCRYPTION_KEY_PREVIOUS: flagged,
  SHUNT_SESSION_SECRET: flagged,
  SHUNT_SIGNING_KEY: flagged,
  SHUNT_ADMIN_SECRET: flagged,
  SHUNT_ADMIN_TOTP_SECRET: flagged,
  SHUNT_TLS_CERT_FILE: flagged,
  SHUNT_TLS_KEY_FILE: flagged,
  SHUNT_TRUSTED_PROXIES: z.string().default(''),
  SHUNT_METRICS_TOKEN: flagged,
  SHUNT_ORG_RATE_LIMIT: z.coerce.number().int().min(1).max(10_000_000).default(6_000),
  PADDLE_API_KEY: flagged,
  PADDLE_WEBHOOK_SECRET: flagged,
  PADDLE_ENVIRONMENT: z.enum(['production', 'sandbox']).default('production'),
  PADDLE_BASE_URL: url,
  SMTP_URL: url,
  MAIL_FROM: flagged,
  OPENAI_BASE_URL: url,
  ANTHROPIC_BASE_URL: url,
  GOOGLE_BASE_URL: url,
  GROQ_BASE_URL: url,
  OPENAI_API_KEY: flagged,
  ANTHROPIC_API_KEY: flagged,
  GEMINI_API_KEY: flagged,
  GROQ_API_KEY: flagged,
  SHUNT_BOOTSTRAP_EMAIL: flagged,
  SHUNT_BOOTSTRAP_PASSWORD: flagged,
  SHUNT_BOOTSTRAP_PROJECT_KEY: flagged,
});

export type Environment = z.infer<typeof environment>;

/** Reads the environment; throws a `ConfigError` that names each wrong variable. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  // An empty variable (as docker compose passes unset ones) is an absent one.
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(present);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new ConfigError(`These environment variables cannot be used:\n${lines.join('\n')}`);
}

/** The configuration cannot be used; the message says what to change. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
