import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Programs } from './binaries.js';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { isAlive, isPostmasterOf } from './process-identity.js';
import type { ServerHome } from './server-home.js';
import type { ServerUser } from './server-user.js';

export const SUPERUSER = 'postgres';

const INITDB_MS_MAX = 60_000;
/** Recovery after a crash is part of a start. */
const START_MS_MAX = 120_000;
const STOP_MS_MAX = 20_000;
const POLL_MS = 10;
const START_ATTEMPTS = 5;
const LOG_BYTES_MAX = 1_000_000;

export interface RunningServer {
  readonly pid: number;
  readonly port: number;
}

/**
 * No statement and no value reaches the server's log: an ERROR, whose message can quote a value, is below
 * `log`, and details, hints and contexts are left out of what is above.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  password_encryption: 'scram-sha-256',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_checkpoints: 'off',
  log_autovacuum_min_duration: '-1',
};

const NOT_DURABLE: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
};

export interface ServerFiles extends ServerHome {
  readonly programs: Programs;
  readonly user: ServerUser;
  /** False: faster, and the data does not survive the machine. For tests. */
  readonly durable: boolean;
}

/** The server of this data directory, where one runs: one that outlived its parent, or another process's. */
export async function findRunning(files: ServerFiles): Promise<RunningServer | null> {
  const deadline = performance.now() + START_MS_MAX;
  for (;;) {
    const found = readPidFile(files.dataDir);
    if (!found || !isPostmasterOf(found.pid, files.dataDir)) return null;
    if (found.state === 'ready') return found;
    // Starting, or stopping: it becomes ready, or goes.
    if (performance.now() > deadline) {
      throw new EmbeddedPostgresError(`process ${found.pid} is neither ready nor gone`);
    }
    await delay(POLL_MS);
  }
}

/** Makes the database cluster, unless a former call completed it. */
export async function initialize(files: ServerFiles): Promise<void> {
  const marker = path.join(files.home, 'initialized');
  if (existsSync(marker)) return;
  // Without the marker nothing was ever stored: what lies there is an initialization that was cut short.
  for (const entry of readdirSync(files.dataDir)) {
    rmSync(path.join(files.dataDir, entry), { recursive: true, force: true });
  }
  const passwordFile = path.join(
    path.dirname(files.dataDir),
    `password-${randomBytes(12).toString('hex')}`,
  );
  writeFileSync(passwordFile, `${files.credentials.superuser}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (files.user) chownSync(passwordFile, files.user.uid, files.user.gid);
    await runInitdb(files, passwordFile);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  writeFileSync(marker, '', { mode: 0o600 });
}

/** Starts the server on a free port; tries others where somebody takes the port in between. */
export async function start(
  files: ServerFiles,
): Promise<RunningServer & { readonly child: ChildProcess }> {
  neutralizeForeignPid(files.dataDir);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const logFrom = truncateLog(files.home);
    const child = spawnServer(files, port);
    const failure = await readyOrFailure(child, files.dataDir);
    if (failure === null) return { pid: child.pid ?? 0, port, child };
    if (attempt === START_ATTEMPTS) {
      throw new EmbeddedPostgresError(`${failure}\n${logTail(files.home, logFrom)}`);
    }
    // A taken port, or children of a killed server that are still on their way out.
    await delay(200 * attempt);
  }
}

/** Fast shutdown: ends sessions, writes a checkpoint. Returns once the process is gone. */
export async function stop(server: RunningServer, dataDir: string): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (!isPostmasterOf(server.pid, dataDir)) return;
    try {
      process.kill(server.pid, signal);
    } catch {
      return;
    }
    const deadline = performance.now() + STOP_MS_MAX;
    while (performance.now() < deadline) {
      if (!isAlive(server.pid) || !isPostmasterOf(server.pid, dataDir)) return;
      await delay(POLL_MS);
    }
  }
  throw new EmbeddedPostgresError(`process ${server.pid} does not stop`);
}

async function runInitdb(files: ServerFiles, passwordFile: string): Promise<void> {
  const args = ['-D', files.dataDir, '-U', SUPERUSER, '--pwfile', passwordFile];
  args.push('-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C');
  if (!files.durable) args.push('--no-sync');
  const child = spawn(files.programs.initdb, args, {
    ...files.user,
    cwd: '/',
    env: serverEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: INITDB_MS_MAX,
    windowsHide: true,
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000);
  });
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve(exit ?? signal));
  });
  if (code !== 0) throw new EmbeddedPostgresError(`initdb failed (${code}): ${said.trim()}`);
}

function spawnServer(files: ServerFiles, port: number): ChildProcess {
  const settings = { ...SETTINGS, ...(files.durable ? {} : NOT_DURABLE) };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = openSync(logFile(files.home), 'a', 0o600);
  try {
    const child = spawn(
      files.programs.postgres,
      ['-D', files.dataDir, '-p', `${port}`, ...options],
      {
        ...files.user,
        cwd: '/',
        env: serverEnvironment(),
        stdio: ['ignore', log, log],
        // A group of its own: Ctrl-C reaches this process alone, which stops the server last.
        detached: true,
        windowsHide: true,
      },
    );
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

/** Not this process's environment: it holds secrets, and every session of the server could read them. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TEMP, TMP } = process.env;
  return { PATH, SystemRoot, TEMP, TMP, LC_ALL: 'C', TZ: 'UTC' };
}

async function readyOrFailure(child: ChildProcess, dataDir: string): Promise<string | null> {
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      resolve(`the server cannot be started (${error.code})`),
    );
    child.once('exit', (code, signal) =>
      resolve(`the server ended while starting (${code ?? signal})`),
    );
  });
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline) {
    const failure = await Promise.race([ended, delay(POLL_MS, null)]);
    if (failure !== null) return failure;
    const found = readPidFile(dataDir);
    if (found && found.pid === child.pid && found.state === 'ready') return null;
  }
  child.kill('SIGQUIT');
  return `the server was not ready within ${START_MS_MAX / 1_000} s`;
}

interface PidFile extends RunningServer {
  readonly state: string;
}

function readPidFile(dataDir: string): PidFile | null {
  try {
    const lines = readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    if (!Number.isInteger(pid) || pid <= 0) return null;
    return { pid, port: Number(lines[3] ?? 0), state: (lines[7] ?? '').trim() };
  } catch {
    return null;
  }
}

/**
 * Postgres clears a stale pid file itself, after checking that no orphaned session still uses the shared memory
 * that the file names; so the file is never removed here. But it refuses to start when the id in the file
 * belongs to some other live program by now. Its parent's id it disregards: that is written in its place.
 */
function neutralizeForeignPid(dataDir: string): void {
  const found = readPidFile(dataDir);
  if (!found || !isAlive(found.pid) || isPostmasterOf(found.pid, dataDir)) return;
  const file = path.join(dataDir, 'postmaster.pid');
  const [, ...rest] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [process.pid, ...rest].join('\n'));
}

function logFile(home: string): string {
  return path.join(home, 'server.log');
}

/** Bounds the log at each start; returns where the new part begins. */
function truncateLog(home: string): number {
  const file = logFile(home);
  const size = existsSync(file) ? statSync(file).size : 0;
  if (size <= LOG_BYTES_MAX) return size;
  writeFileSync(file, '', { mode: 0o600 });
  return 0;
}

function logTail(home: string, from: number): string {
  return readFileSync(logFile(home)).subarray(from).subarray(-2_000).toString().trim();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
