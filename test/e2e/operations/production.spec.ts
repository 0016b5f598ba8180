import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/app-config.js';
import { ConfigError } from '../../../src/config/environment.js';
import { sendRaw } from '../../support/raw-http.js';
import { failToStart, startShunt, type ShuntProcess } from '../../support/shunt-process.js';
import {
  productionEnvironment,
  SECRETS,
  secretsIn,
  startDatabaseServer,
  type DatabaseServer,
  type Environment,
} from './production-environment.js';

let server: DatabaseServer;
let scratch: string;
let complete: Environment;

beforeAll(async () => {
  server = await startDatabaseServer();
  scratch = mkdtempSync(join(tmpdir(), 'shunt-e2e-'));
  complete = {
    ...productionEnvironment(),
    DATABASE_URL: server.logins.runtimeUrl,
    DATABASE_MIGRATION_URL: server.logins.ownerUrl,
    SHUNT_DATA_DIR: join(scratch, 'data'),
  };
});
afterAll(async () => {
  await server?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const without = (...names: readonly string[]): Environment =>
  Object.fromEntries(Object.entries(complete).filter(([name]) => !names.includes(name)));

function refusalOf(env: Environment): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'none';
}

describe('production refuses to start', () => {
  test('not, where nothing is missing', () => {
    expect(refusalOf(complete)).toBe('none');
    expect(loadConfig(complete)).toMatchObject({ production: true });
  });

  test.each([...SECRETS, 'DATABASE_URL'])('without %s, and says which one it is', (name) => {
    for (const env of [without(name), { ...complete, [name]: '' }, { ...complete, [name]: '  ' }]) {
      const refusal = refusalOf(env);
      expect(refusal).toContain(name);
      expect(secretsIn(refusal, complete)).toEqual([]);
    }
  });

  test('without all of its secrets at once, and makes none of its own', () => {
    const refusal = refusalOf(without(...SECRETS));
    for (const name of SECRETS) expect(refusal).toContain(name);
    expect(existsSync(complete['SHUNT_DATA_DIR'] ?? '')).toBe(false);
  });

  test.each([
    ['neither certificate nor proxy', { SHUNT_TRUSTED_PROXIES: '' }, /SHUNT_TLS_CERT_FILE/],
    ['a proxy of spaces', { SHUNT_TRUSTED_PROXIES: ' , ' }, /SHUNT_TLS_CERT_FILE/],
    ['a certificate without its key', { SHUNT_TLS_CERT_FILE: '/x' }, /SHUNT_TLS_KEY_FILE/],
    ['a key without its certificate', { SHUNT_TLS_KEY_FILE: '/x' }, /SHUNT_TLS_CERT_FILE/],
    ['an encryption key that is too short', { SHUNT_ENCRYPTION_KEY: 'c2hvcnQ=' }, /32 bytes/],
    ['a database URL that is none', { DATABASE_URL: 'not a url' }, /DATABASE_URL/],
    ['a proxy that is no address', { SHUNT_TRUSTED_PROXIES: 'proxy.example' }, /SHUNT_TRUSTED_PROXIES/],
    ['a proxy range that is none', { SHUNT_TRUSTED_PROXIES: '10.0.0.0/99' }, /SHUNT_TRUSTED_PROXIES/],
  ])('with %s', (_name, changes, said) => {
    const env: Environment = { ...complete, ...changes };
    expect(refusalOf(env)).toMatch(said);
    expect(secretsIn(refusalOf(env), env)).toEqual([]);
  }); // prettier-ignore

  test('as an owner or a superuser of the database, in words, with exit code 1 and no secret', async () => {
    const { superuserUrl, ownerUrl } = server.logins;
    const cases: readonly (readonly [Environment, RegExp])[] = [
      [{ ...complete, DATABASE_URL: superuserUrl }, /"postgres" of DATABASE_URL is a superuser/],
      [{ ...complete, DATABASE_URL: ownerUrl }, /"shunt_owner" of DATABASE_URL owns tables/],
      [{ ...without('DATABASE_MIGRATION_URL'), DATABASE_URL: ownerUrl }, /owns tables/],
    ];
    for (const [env, said] of cases) {
      const { code, output } = await failToStart(env);
      expect(code).toBe(1);
      expect(output).toMatch(said);
      expect(secretsIn(output, env)).toEqual([]);
    }
  });

  test('with a certificate that cannot be read, a password that is wrong or a server that is away, without a secret', async () => {
    const wrong = new URL(server.logins.runtimeUrl);
    wrong.password = 'a-password-that-is-wrong';
    const away = new URL(server.logins.runtimeUrl);
    away.port = '1';
    const tls = {
      SHUNT_TLS_CERT_FILE: '/nowhere/cert.pem',
      SHUNT_TLS_KEY_FILE: '/nowhere/key.pem',
    };
    for (const env of [
      { ...complete, ...tls },
      { ...complete, DATABASE_URL: wrong.toString() },
    ]) {
      const { code, output } = await failToStart(env);
      expect(code).toBe(1);
      expect(output).toContain('Shunt did not start.');
      expect(secretsIn(output, env)).toEqual([]);
    }
  });
});

describe('production behind a trusted proxy', () => {
  let shunt: ShuntProcess;
  beforeAll(async () => {
    shunt = await startShunt({ ...complete, ...(await server.freshDatabase()) });
  });
  afterAll(() => shunt?.end());

  const ask = (path: string, proto?: string, init: RequestInit = {}): Promise<Response> =>
    fetch(shunt.origin + path, {
      ...init,
      headers: {
        authorization: `Bearer ${complete['SHUNT_BOOTSTRAP_PROJECT_KEY']}`,
        ...(proto === undefined ? {} : { 'x-forwarded-proto': proto }),
      },
    });
  const PATHS = [
    '/v1/models',
    '/anthropic/v1/models',
    '/google/v1beta/models',
    '/shunt/v1/project',
    '/',
  ];

  test('refuses every call that did not come over https, before its key is looked at', async () => {
    for (const path of PATHS) {
      for (const proto of [undefined, 'http', 'https, http', 'HTTPS ', 'wss']) {
        const answer = await ask(path, proto);
        expect([path, proto, answer.status]).toEqual([path, proto, 403]);
        expect(await answer.text()).toMatch(/tls_required/i);
        expect(answer.headers.get('x-shunt-request-id')).toMatch(/^[0-9a-f-]{36}$/);
        expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      }
    }
  });

  test('takes what the proxy says came over https', async () => {
    const project = await ask('/shunt/v1/project', 'https');
    expect(project.status).toBe(200);
    expect(await project.json()).toMatchObject({ providers: ['openai'], upstream: 'real' });
    expect((await ask('/v1/nothing', 'https', { method: 'POST' })).status).toBe(403);
    expect((await ask('/nothing', 'https')).status).toBe(404);
  });

  test('lets orchestrators ask for its health in plain HTTP', async () => {
    expect((await ask('/healthz')).status).toBe(200);
    expect((await ask('/readyz')).status).toBe(200);
    expect((await ask('/healthz/../v1/models')).status).toBe(403);
  });

  test('has no sandbox', async () => {
    const answer = await ask('/groq/openai/v1/models', 'https');
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ error: { code: 'provider_key_missing' } });
    expect(answer.headers.get('x-shunt-synthetic')).toBeNull();
  });

  test("tells browsers to come back over https, in the framework's answers", async () => {
    const { headers } = await ask('/shunt/v1/project', 'https');
    expect(headers.get('strict-transport-security')).toMatch(/max-age=\d{7,}/);
  });

  test('prints no secret, at its first start and while it serves', () => {
    expect(secretsIn(shunt.output(), complete)).toEqual([]);
    expect(shunt.output()).toContain('Created ');
    // Log lines name routes, some of which are about passwords; what is said to people names neither.
    const said = shunt
      .output()
      .split('\n')
      .filter((line) => !line.startsWith('{'));
    expect(said.join('\n')).not.toMatch(/TOTP|password/i);
  });
});

test('production believes no proxy that it was not told of', async () => {
  const env = { ...complete, SHUNT_TRUSTED_PROXIES: '10.1.2.3' };
  const shunt = await startShunt(env);
  try {
    const headers = {
      authorization: `Bearer ${complete['SHUNT_BOOTSTRAP_PROJECT_KEY']}`,
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '10.1.2.3',
    };
    const answer = await fetch(`${shunt.origin}/v1/models`, { headers });
    expect(answer.status).toBe(403);
    expect(secretsIn(shunt.output(), env)).toEqual([]);
  } finally {
    await shunt.end();
  }
});

test('production without credentials to begin with says how to begin, and makes nobody', async () => {
  const env = {
    ...without('SHUNT_BOOTSTRAP_EMAIL', 'SHUNT_BOOTSTRAP_PASSWORD', 'SHUNT_BOOTSTRAP_PROJECT_KEY'),
    ...(await server.freshDatabase()),
  };
  const shunt = await startShunt(env);
  try {
    expect(shunt.output()).toContain('There is no organization yet. Set SHUNT_BOOTSTRAP_EMAIL');
    expect(secretsIn(shunt.output(), env)).toEqual([]);
  } finally {
    await shunt.end();
  }
});

const openssl = hasOpenssl();

describe.skipIf(!openssl)('production with a certificate of its own (needs openssl)', () => {
  let shunt: ShuntProcess;
  let ca: Buffer;
  beforeAll(async () => {
    const files = certificate(scratch);
    ca = readFileSync(files.SHUNT_TLS_CERT_FILE);
    shunt = await startShunt({ ...without('SHUNT_TRUSTED_PROXIES'), ...files });
  });
  afterAll(() => shunt?.end());

  const port = (): number => Number(new URL(shunt.origin).port);

  test('serves https, and believes no header that speaks of http', async () => {
    expect(shunt.origin).toMatch(/^https:/);
    for (const proto of ['https', 'http']) {
      const answer = await get('/shunt/v1/project', { 'x-forwarded-proto': proto });
      expect(answer).toMatch(/^200 .*"upstream":"real"/);
    }
    expect(await get('/healthz')).toMatch(/^200 /);
  });

  test('says on every answer that it is for https only, refused and relayed ones too', async () => {
    const hsts = (path: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        https
          .get(shunt.origin + path, { ca, agent: false })
          .once('error', reject)
          .once('response', (response) => {
            response
              .resume()
              .once('end', () => resolve(response.headers['strict-transport-security']));
          });
      });
    for (const path of ['/healthz', '/v1/models', '/openai/unknown', '/nothing']) {
      expect(await hsts(path), path).toMatch(/^max-age=\d{7,}/);
    }
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s', async (version) => {
    expect(await handshake({ minVersion: version, maxVersion: version })).toBe(version);
  });

  test.each(['TLSv1', 'TLSv1.1'] as const)('does not speak %s', async (version) => {
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0' };
    expect(await handshake(old)).toMatch(/alert protocol version|ERR_SSL|ECONNRESET/i);
  });

  test('answers plain HTTP with nothing', async () => {
    const key = complete['SHUNT_BOOTSTRAP_PROJECT_KEY'];
    const said = await sendRaw(
      `http://127.0.0.1:${port()}`,
      `GET /shunt/v1/project HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n\r\n`,
    ).catch(() => '');
    expect(said).not.toContain('project');
    expect(said).not.toContain(' 200 ');
    expect(secretsIn(shunt.output(), complete)).toEqual([]);
  });

  function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
    const authorization = `Bearer ${complete['SHUNT_BOOTSTRAP_PROJECT_KEY']}`;
    return new Promise((resolve, reject) => {
      https
        .get(shunt.origin + path, { ca, agent: false, headers: { authorization, ...headers } })
        .once('error', reject)
        .once('response', (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.once('end', () => resolve(`${response.statusCode} ${text}`));
        });
    });
  }

  /** The version that was agreed on, or what went wrong. */
  function handshake(options: ConnectionOptions): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect({ port: port(), host: '127.0.0.1', ca, ...options }, () => {
        resolve(socket.getProtocol() ?? 'none');
        socket.destroy();
      });
      socket.once('error', (error) => resolve(String(error)));
    });
  }
});

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function certificate(directory: string) {
  const files = {
    SHUNT_TLS_CERT_FILE: join(directory, 'cert.pem'),
    SHUNT_TLS_KEY_FILE: join(directory, 'key.pem'),
  };
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const out = ['-keyout', files.SHUNT_TLS_KEY_FILE, '-out', files.SHUNT_TLS_CERT_FILE];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, ...out];
  execFileSync('openssl', args, { stdio: 'ignore' });
  return files;
}
