import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';

const logger = createLogger('silent');
const asRoot = process.getuid?.() === 0;
let base: string;
let started: EmbeddedPostgres[];

beforeEach(() => {
  base = mkdtempSync(path.join(tmpdir(), 'shunt-embedded-'));
  chmodSync(base, 0o711);
  started = [];
});
afterEach(async () => {
  for (const server of started) await server.stop().catch(() => undefined);
  rmSync(base, { recursive: true, force: true });
});

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const dir = path.join(base, 'postgres');
  const systemDir = path.join(base, 'system');
  const server = await startEmbeddedPostgres({
    dir,
    logger,
    durable: false,
    systemDir,
    ...options,
  });
  started.push(server);
  return server;
}

const ask = <Row>(url: string, sql: string): Promise<Row[]> =>
  withConnection({ url, statementTimeoutMs: 5_000 }, (q) => q.query<Row>(sql));

const answers = async (server: EmbeddedPostgres): Promise<boolean> =>
  ask(server.ownerUrl, 'SELECT 1').then(
    () => true,
    () => false,
  );

const pidFile = (): string => path.join(base, 'postgres/data/postmaster.pid');
const postmasterPid = (): number => Number(readFileSync(pidFile(), 'utf8').split('\n')[0]);

test('neither login is a superuser, and the runtime login owns nothing', async () => {
  const server = await start();
  const roles = await ask(
    server.runtimeUrl,
    `SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole AS mighty FROM pg_roles
      WHERE rolname LIKE 'shunt%' ORDER BY rolname`,
  );
  expect(roles).toEqual([
    { rolname: 'shunt_app', mighty: false },
    { rolname: 'shunt_owner', mighty: false },
    { rolname: 'shunt_runtime', mighty: false },
  ]);
  const owner = await ask(
    server.ownerUrl,
    `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()`,
  );
  expect(owner).toEqual([{ owner: 'shunt_owner' }]);
});

test('what was stored is there after a stop and a new start', async () => {
  const first = await start();
  await ask(first.ownerUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  expect(await answers(first)).toBe(false);
  const second = await start();
  expect(second.startedHere).toBe(true);
  expect(await ask(second.ownerUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('an instance that found the server running leaves it running', async () => {
  const first = await start();
  const second = await start();
  expect([first.startedHere, second.startedHere]).toEqual([true, false]);
  await second.stop();
  expect(await answers(first)).toBe(true);
  await first.stop();
  expect(await answers(first)).toBe(false);
});

test('a server whose starter goes first stays for those who use it still', async () => {
  const first = await start();
  const second = await start();
  await first.stop();
  expect(await answers(second)).toBe(true);
  await second.stop();
  expect(await answers(second)).toBe(false);
});

test('starting at once in one directory makes one server', async () => {
  const servers = await Promise.all([start(), start(), start()]);
  expect(servers.filter((server) => server.startedHere)).toHaveLength(1);
  expect(new Set(servers.map((server) => server.ownerUrl)).size).toBe(1);
});

test('a server that outlived its killed parent is used again, and stopped by its next user', async () => {
  await startInKilledProcess();
  const pid = postmasterPid();
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  const next = await start();
  expect(next.startedHere).toBe(false);
  expect(postmasterPid()).toBe(pid);
  await next.stop();
  expect(await answers(next)).toBe(false);
});

test('a pid file left by a crash is no hindrance', async () => {
  const first = await start();
  process.kill(postmasterPid(), 'SIGKILL');
  expect(existsSync(pidFile())).toBe(true);
  const second = await start();
  expect(second.startedHere).toBe(true);
  expect(await answers(second)).toBe(true);
  await first.stop();
});

test('a pid file whose id belongs to another program by now is no hindrance, and that program lives on', async () => {
  const first = await start();
  await first.stop();
  const user = asRoot ? lstatSync(path.join(base, 'postgres/data')) : null;
  const ids = user ? { uid: user.uid, gid: user.gid } : {};
  const other = spawn('sleep', ['60'], { ...ids, cwd: '/', stdio: 'ignore' });
  try {
    writeFileSync(pidFile(), `${other.pid}\n${path.join(base, 'postgres/data')}\n1\n5432\n\n\n`);
    if (user) execFileSync('chown', [`${user.uid}:${user.gid}`, pidFile()]);
    const second = await start();
    expect(second.startedHere).toBe(true);
    expect(await answers(second)).toBe(true);
    expect(other.exitCode).toBeNull();
  } finally {
    other.kill('SIGKILL');
  }
});

test('an initialization that was cut short is begun anew', async () => {
  const first = await start();
  await first.stop();
  rmSync(path.join(base, 'postgres/initialized'));
  rmSync(path.join(base, 'postgres/data/PG_VERSION'));
  expect(await answers(await start())).toBe(true);
});

test('passwords are generated per directory and readable for their owner alone', async () => {
  const first = await start();
  const second = await start({ dir: path.join(base, 'another') });
  expect(new URL(first.ownerUrl).password).not.toBe(new URL(second.ownerUrl).password);
  const file = path.join(base, 'postgres/credentials.json');
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  const wrong = first.ownerUrl.replace(new URL(first.ownerUrl).password, 'shunt');
  await expect(ask(wrong, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
});

test('the log of the server holds neither statements nor values', async () => {
  const server = await start();
  const marker = 'NEVER-IN-A-LOG';
  await withConnection({ url: server.ownerUrl, statementTimeoutMs: 500 }, async (q) => {
    await q.query('CREATE TABLE t (id text PRIMARY KEY, n int CHECK (n > 0))');
    await q.query('INSERT INTO t VALUES ($1, 1)', [marker]);
    for (const sql of [
      `SELECT '${marker}'::uuid`,
      `SELECT ${marker.replaceAll('-', '_')}`,
      `SELECT pg_sleep(2), '${marker}'`,
      `DO $$ BEGIN RAISE WARNING '${marker}'; RAISE EXCEPTION '${marker}'; END $$`,
    ]) {
      await q.query(sql).catch(() => undefined);
    }
    await q.query('INSERT INTO t VALUES ($1, 1)', [marker]).catch(() => undefined);
    await q.query('SELECT $1::int', [marker]).catch(() => undefined);
  });
  await server.stop();
  const log = readFileSync(path.join(base, 'postgres/server.log'), 'utf8');
  expect(log).toContain('database system is shut down');
  expect(log).not.toMatch(/NEVER.IN.A.LOG/);
});

test('the server does not get the secrets in the environment of its parent', async () => {
  process.env['SHUNT_TEST_SECRET'] = 'do-not-pass-on';
  try {
    await start();
  } finally {
    delete process.env['SHUNT_TEST_SECRET'];
  }
  const environment = readFileSync(`/proc/${postmasterPid()}/environ`, 'utf8');
  expect(environment).not.toContain('do-not-pass-on');
});

test('a link in place of the directory is refused', async () => {
  mkdirSync(path.join(base, 'elsewhere'));
  symlinkSync(path.join(base, 'elsewhere'), path.join(base, 'link'));
  await expect(start({ dir: path.join(base, 'link') })).rejects.toThrow(/Set DATABASE_URL/);
});

test('a directory that others can write is refused', async () => {
  mkdirSync(path.join(base, 'open'));
  chmodSync(path.join(base, 'open'), 0o777);
  await expect(start({ dir: path.join(base, 'open') })).rejects.toThrow(/written by other users/);
});

test.runIf(asRoot)(
  'root: the server works in a 0700 directory, its data beside the secrets',
  async () => {
    const enclosing = path.join(base, '.shunt');
    mkdirSync(enclosing, { mode: 0o700 });
    writeFileSync(path.join(enclosing, 'secrets.json'), '{}', { mode: 0o600 });
    const server = await start({ dir: path.join(enclosing, 'postgres'), enclosing });
    expect(await answers(server)).toBe(true);
    expect(existsSync(path.join(enclosing, 'postgres/data/PG_VERSION'))).toBe(true);
    // The server's group passes through; nobody else does, and nobody lists or writes.
    expect(lstatSync(enclosing).mode & 0o777).toBe(0o710);
  },
);

test.runIf(asRoot)(
  'root: where the server cannot be let through, its data goes to the system directory',
  async () => {
    mkdirSync(path.join(base, 'private'), { mode: 0o700 });
    const dir = path.join(base, 'private/deep/postgres');
    const first = await start({ dir });
    await ask(first.ownerUrl, 'CREATE TABLE kept ()');
    await first.stop();
    const location = readFileSync(path.join(dir, 'location'), 'utf8').trim();
    expect(path.dirname(location)).toBe(path.join(base, 'system'));
    expect(lstatSync(location).mode & 0o777).toBe(0o700);
    const second = await start({ dir });
    expect(await ask(second.ownerUrl, 'SELECT * FROM kept')).toEqual([]);
    await second.stop();
    rmSync(location, { recursive: true });
    await expect(start({ dir })).rejects.toThrow(/its data is gone/);
  },
);

test.runIf(asRoot)('root: a system directory that somebody else made is not trusted', async () => {
  const systemDir = path.join(base, 'planted');
  mkdirSync(systemDir);
  execFileSync('chown', ['1234', systemDir]);
  mkdirSync(path.join(base, 'private'), { mode: 0o700 });
  const starting = start({ dir: path.join(base, 'private/postgres'), systemDir });
  await expect(starting).rejects.toThrow(/belongs to another user/);
});

/** A process of its own starts the server and is killed before it can stop it. */
async function startInKilledProcess(): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--import', new URL('typescript-source.mjs', import.meta.url).href, scriptPath()],
    { env: { ...process.env, EMBEDDED_DIR: path.join(base, 'postgres') }, stdio: 'pipe' },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error(said)));
  });
  child.removeAllListeners('exit');
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

function scriptPath(): string {
  return path.join(import.meta.dirname, 'start-and-wait.ts');
}
