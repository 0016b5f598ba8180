import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { verifyPassword } from '../../../src/platform/crypto/password.js';
import { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import { failToStart, startShunt, type ShuntProcess } from '../../support/shunt-process.js';

const POLLING = { timeout: 15_000, interval: 100 };

let dataDir: string;
let running: ShuntProcess | null = null;

beforeEach(() => {
  dataDir = path.join(mkdtempSync(path.join(tmpdir(), 'shunt-e2e-')), 'data');
});
afterEach(async () => {
  await running?.end();
  running = null;
  rmSync(path.dirname(dataDir), { recursive: true, force: true });
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<ShuntProcess> {
  await running?.end();
  running = await startShunt({ SHUNT_DATA_DIR: dataDir, ...env });
  return running;
}

/** What is printed once, by the name that stands before it. */
function printed(output: string) {
  const after = (pattern: RegExp): string => pattern.exec(output)?.[1] ?? '';
  return {
    projectKey: after(/^ {2}project key {2,}(\S+)$/m),
    email: after(/^ {2}owner {2,}(\S+) {2}\S+$/m),
    password: after(/^ {2}owner {2,}\S+ {2}(\S+)$/m),
    operator: after(/^ {2}operator {2,}(\S+) {2}secret/m),
    operatorSecret: after(/ {2}secret (\S+) /),
    totp: after(/ TOTP ([A-Z2-7]+)$/m),
  };
}

/** The commands that are to be tried, each as it stands there, lines and all. */
function commands(output: string): string[] {
  return [...output.matchAll(/^ {2}(curl (?:.*\\\n)*.*)$/gm)].map(([, command = '']) => command);
}

async function inShell(command: string): Promise<unknown> {
  const script = `set -euo pipefail\n${command} -sS`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script]);
  return JSON.parse(stdout) as unknown;
}

async function canSignIn(email: string, password: string): Promise<boolean> {
  const { runtimeUrl } = embeddedLogins(dataDir);
  const logger = createLogger('silent');
  const database = await Database.connect({ url: runtimeUrl, logger, poolSize: 1 });
  try {
    const [user] = await database.query<{ hash: string }>(
      'SELECT password_hash AS hash FROM users WHERE email = $1',
      [email],
    );
    return await verifyPassword(password, user?.hash ?? null);
  } finally {
    await database.close();
  }
}

function traces(output: string, secrets: readonly string[]): string[] {
  const hunt = new LeakHunt(secrets.map((text) => ({ name: text, text })));
  hunt.text('the output', output);
  return hunt.hits.map(({ needle }) => needle);
}

test('the first start prints what it made, and its commands work as they are printed; no later start prints it', async () => {
  const first = await start({ LOG_LEVEL: 'trace' });
  const made = printed(first.output());
  for (const [name, value] of Object.entries(made)) expect([name, value]).not.toEqual([name, '']);
  const [tried = '', looked = ''] = commands(first.output());
  expect(await inShell(tried)).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { role: 'assistant', content: expect.any(String) } }],
  });
  await vi.waitFor(async () => {
    expect(await inShell(looked)).toMatchObject({
      data: [{ requested_model: 'gpt-5.4', synthetic: true, outcome: 'completed' }],
    });
  }, POLLING);
  expect(await canSignIn(made.email, made.password)).toBe(true);
  const secrets = [made.projectKey, made.password, made.operatorSecret, made.totp];
  // Printed, and in no log line.
  const logged = first
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  expect(logged.length).toBeGreaterThan(5);
  expect(traces(logged.join('\n'), secrets)).toEqual([]);

  const second = await start({ LOG_LEVEL: 'trace' });
  expect(second.output()).toContain('Shunt listens on');
  expect(traces(second.output(), secrets)).toEqual([]);
  expect(await inShell(tried.replace(first.origin, second.origin))).toMatchObject({
    object: 'chat.completion',
  });
});

test('what it keeps of its secrets is readable for its own user alone', async () => {
  await start();
  const kept = path.join(dataDir, 'secrets.json');
  expect(statSync(kept).mode & 0o777).toBe(0o600);
  expect(statSync(path.join(dataDir, 'postgres/credentials.json')).mode & 0o777).toBe(0o600);
  // Root's server runs as another user, who may pass through and see nothing.
  expect(statSync(dataDir).mode & 0o067).toBe(0);
  const before = readFileSync(kept, 'utf8');
  await start();
  expect(readFileSync(kept, 'utf8')).toBe(before);
});

test('SHUNT_BOOTSTRAP_* fix what it would make, and provider keys are taken, named and not shown', async () => {
  const given = {
    SHUNT_BOOTSTRAP_EMAIL: 'someone@example.test',
    SHUNT_BOOTSTRAP_PASSWORD: 'a password of my own',
    SHUNT_BOOTSTRAP_PROJECT_KEY: 'my-own-project-key-for-scripts',
    ANTHROPIC_API_KEY: 'sk-ant-0123456789-abcdefghij',
    ANTHROPIC_BASE_URL: 'http://127.0.0.1:1',
  };
  const shunt = await start(given);
  expect(shunt.output()).toContain('project key      my-own-project-key-for-scripts\n');
  expect(shunt.output()).toContain('someone@example.test  a password of my own\n');
  expect(shunt.output()).toContain('Provider keys were taken from the environment: anthropic.');
  expect(traces(shunt.output(), [given.ANTHROPIC_API_KEY])).toEqual([]);
  const headers = { authorization: `Bearer ${given.SHUNT_BOOTSTRAP_PROJECT_KEY}` };
  const project = await fetch(`${shunt.origin}/shunt/v1/project`, { headers });
  expect(await project.json()).toMatchObject({ providers: ['anthropic'] });
  expect(await canSignIn(given.SHUNT_BOOTSTRAP_EMAIL, given.SHUNT_BOOTSTRAP_PASSWORD)).toBe(true);
  // They are of the first start alone.
  const other = { SHUNT_BOOTSTRAP_PROJECT_KEY: 'another-project-key-later' };
  const later = await start({ ...given, ...other });
  const answer = await fetch(`${later.origin}/shunt/v1/project`, { headers });
  expect(answer.status).toBe(200);
  const unknown = { authorization: `Bearer ${other.SHUNT_BOOTSTRAP_PROJECT_KEY}` };
  expect((await fetch(`${later.origin}/shunt/v1/project`, { headers: unknown })).status).toBe(401);
});

test('a first start that fails after it made them prints them all the same: they would be lost', async () => {
  const occupant = net.createServer();
  await new Promise<void>((resolve) => occupant.listen(0, '127.0.0.1', resolve));
  const { port } = occupant.address() as AddressInfo;
  const failed = await failToStart({ SHUNT_DATA_DIR: dataDir, PORT: String(port) });
  occupant.close();
  expect(failed.code).toBe(1);
  expect(failed.output).toContain('EADDRINUSE');
  expect(failed.output).not.toContain('listens on');
  const { projectKey, email, password } = printed(failed.output);
  const shunt = await start();
  const headers = { authorization: `Bearer ${projectKey}` };
  expect((await fetch(`${shunt.origin}/shunt/v1/project`, { headers })).status).toBe(200);
  expect(await canSignIn(email, password)).toBe(true);
  expect(traces(shunt.output(), [projectKey, password])).toEqual([]);
});

test.each([
  ['a project key that is too short', { SHUNT_BOOTSTRAP_PROJECT_KEY: 'short' }, /SHUNT_BOOTSTRAP_PROJECT_KEY/],
  ['a password that is too short', { SHUNT_BOOTSTRAP_PASSWORD: 'short' }, /SHUNT_BOOTSTRAP_PASSWORD/],
  ['a password that its hash cannot hold', { SHUNT_BOOTSTRAP_PASSWORD: 'x'.repeat(73) }, /SHUNT_BOOTSTRAP_PASSWORD/],
  ['a provider key with a line end', { OPENAI_API_KEY: 'sk-\nx' }, /openai/],
])('a first start with %s says so, and makes nothing', async (_name, env, said) => {
  const failed = await failToStart({ SHUNT_DATA_DIR: dataDir, ...env });
  expect(failed.code).toBe(1);
  expect(failed.output).toMatch(said);
  expect(failed.output).not.toMatch(/at \S+ \(/);
  const shunt = await start();
  expect(shunt.output()).toContain('This is the first start.');
}); // prettier-ignore
