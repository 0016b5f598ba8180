import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from './app-config.js';
import { ConfigError } from './environment.js';

const SHUNT_DATA_DIR = mkdtempSync(path.join(tmpdir(), 'shunt-config-'));
afterAll(() => rmSync(SHUNT_DATA_DIR, { recursive: true, force: true }));

const load = (env: Record<string, string> = {}) => loadConfig({ SHUNT_DATA_DIR, ...env });

test('with nothing configured, billing and mail are off and one listener serves everything', () => {
  expect(load()).toMatchObject({
    role: 'all',
    publicUrl: null,
    allowedOrigins: [],
    signUpOpen: true,
    adminListener: null,
    paddle: null,
    mail: null,
  });
});

test('what is configured is taken in the form that the rest works with', () => {
  const config = load({
    SHUNT_ROLE: 'worker',
    SHUNT_PUBLIC_URL: 'https://shunt.example.com/',
    SHUNT_ALLOWED_ORIGINS: 'https://a.example.com, https://b.example.com:8443',
    SHUNT_SIGN_UP: 'closed',
    SHUNT_ADMIN_PORT: '9000',
    PADDLE_API_KEY: 'pdl_live_apikey_x',
    PADDLE_WEBHOOK_SECRET: 'pdl_ntfset_x',
    SMTP_URL: 'smtps://user:pass@mail.example.com:465',
    MAIL_FROM: 'Shunt <shunt@example.com>',
  });
  expect(config).toMatchObject({
    role: 'worker',
    publicUrl: 'https://shunt.example.com',
    allowedOrigins: ['https://a.example.com', 'https://b.example.com:8443'],
    signUpOpen: false,
    adminListener: { host: '127.0.0.1', port: 9000 },
    paddle: { apiKey: 'pdl_live_apikey_x', environment: 'production' },
    mail: { from: 'Shunt <shunt@example.com>' },
  });
});

test.each([
  [{ PADDLE_API_KEY: 'x' }, 'PADDLE_WEBHOOK_SECRET'],
  [{ PADDLE_WEBHOOK_SECRET: 'x' }, 'PADDLE_API_KEY'],
  [{ SMTP_URL: 'smtp://mail.example.com' }, 'MAIL_FROM'],
  [{ SMTP_URL: 'https://mail.example.com', MAIL_FROM: 'a@b.c' }, 'SMTP_URL'],
  [{ SHUNT_ADMIN_HOST: '10.0.0.1' }, 'SHUNT_ADMIN_PORT'],
  [{ SHUNT_ALLOWED_ORIGINS: 'https://a.example.com/path' }, 'SHUNT_ALLOWED_ORIGINS'],
  [{ SHUNT_ALLOWED_ORIGINS: 'a.example.com' }, 'SHUNT_ALLOWED_ORIGINS'],
  [{ SHUNT_PUBLIC_URL: 'shunt' }, 'SHUNT_PUBLIC_URL'],
  [{ SHUNT_PUBLIC_URL: 'shunt.example.com:8443' }, 'SHUNT_PUBLIC_URL'],
  [{ SHUNT_ROLE: 'both' }, 'SHUNT_ROLE'],
] as [Record<string, string>, string][])(
  '%j does not start, and says what to change',
  (env, named) => {
    expect(() => load(env)).toThrow(ConfigError);
    expect(() => load(env)).toThrow(named);
  },
);
