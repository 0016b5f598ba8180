import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isPostmasterOf } from '../../../src/platform/embedded-postgres/process-identity.js';
import { PROJECT_KEY } from '../../support/gateway.js';
import { spawnShunt, startShunt, type ShuntProcess } from '../../support/shunt-process.js';
import { until } from './until.js';

const CLI_ENTRY = path.resolve(import.meta.dirname, '../../../dist/src/cli/main.js');
const START_MS_MAX = 60_000;
const END_MS_MAX = 60_000;

export interface ReplicaOptions {
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The product as a process of its own, on a data directory of the test's. */
export interface Replica extends ShuntProcess {
  readonly projectKey: string;
}

const replicas = new Set<ShuntProcess>();
const directories = new Set<string>();

/** Removed by `endAll`, with the embedded server that may still run in it. */
export function freshDataDir(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'shunt-reliability-'));
  directories.add(directory);
  return directory;
}

export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const shunt = await startShunt(environment(options));
  replicas.add(shunt);
  return { ...shunt, projectKey: PROJECT_KEY };
}

/** SIGTERM as soon as a start has got so far; resolves with its exit code. */
export async function endDuringStart(
  options: ReplicaOptions,
  reached: () => boolean,
): Promise<number | null> {
  const { child, ended } = spawnShunt(environment(options));
  try {
    await until('the start gets so far', START_MS_MAX, reached);
    child.kill('SIGTERM');
    await until('the end', END_MS_MAX, () => child.exitCode !== null || child.signalCode !== null);
  } finally {
    child.kill('SIGKILL');
  }
  return ended;
}

export interface CliAnswer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of `npm run shunt` in the environment of such a replica. */
export async function runCli(args: readonly string[], options: ReplicaOptions): Promise<CliAnswer> {
  const child = spawn(process.execPath, [CLI_ENTRY, ...args], {
    env: { PATH: process.env['PATH'], ...environment(options) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: END_MS_MAX,
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text: Buffer) => (said.stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (said.stderr += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...said };
}

/** Ends what is left of this spec's processes and their servers, and removes their directories. */
export async function endAll(): Promise<void> {
  await Promise.all([...replicas].map((shunt) => shunt.end('SIGKILL')));
  replicas.clear();
  for (const directory of directories) {
    const pid = postmasterPid(directory);
    if (pid !== null) process.kill(pid, 'SIGINT');
    await until('Postgres is gone', END_MS_MAX, () => postmasterPid(directory) === null);
    rmSync(postgresData(directory), { recursive: true, force: true });
    rmSync(directory, { recursive: true, force: true });
  }
  directories.clear();
}

/** The id of the embedded server that runs for this data directory; null where none does. */
export function postmasterPid(dataDir: string): number | null {
  const data = postgresData(dataDir);
  const file = path.join(data, 'postmaster.pid');
  if (!existsSync(file)) return null;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  return isPostmasterOf(pid, data) ? pid : null;
}

/** Every process of that server; elsewhere than on Linux only its first. */
export function postgresPids(dataDir: string): number[] {
  const data = postgresData(dataDir);
  if (process.platform !== 'linux') return [postmasterPid(dataDir)].filter((pid) => pid !== null);
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => isPostmasterOf(pid, data));
}

/** Where that server keeps its files: beside the credentials, or where its user could get to instead. */
export function postgresData(dataDir: string): string {
  const pointer = path.join(dataDir, 'postgres', 'location');
  return existsSync(pointer)
    ? readFileSync(pointer, 'utf8').trim()
    : path.join(dataDir, 'postgres', 'data');
}

function environment({ dataDir, env }: ReplicaOptions): Readonly<Record<string, string>> {
  return {
    NODE_ENV: 'test',
    SHUNT_DATA_DIR: dataDir,
    SHUNT_BOOTSTRAP_PROJECT_KEY: PROJECT_KEY,
    SHUNT_BOOTSTRAP_EMAIL: 'owner@example.test',
    ...env,
  };
}
