import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isPostmasterOf } from '../../../src/platform/embedded-postgres/process-identity.js';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { postgresData } from './replica.js';
import { until } from './until.js';

const LIMIT_MS = 30_000;

/** A database server as an operator provides it, with a fresh database, that can go away and come back on its port. */
export class PausablePostgres {
  readonly #data: string;

  private constructor(
    private readonly directory: string,
    private readonly server: EmbeddedPostgres,
  ) {
    this.#data = postgresData(directory);
  }

  static async start(): Promise<PausablePostgres> {
    const directory = mkdtempSync(path.join(tmpdir(), 'shunt-pausable-'));
    // Passable for the user that the server drops to when the tests run as root.
    chmodSync(directory, 0o711);
    const dir = path.join(directory, 'postgres');
    const logger = createLogger('silent');
    const server = await startEmbeddedPostgres({ dir, logger, durable: false });
    return new PausablePostgres(directory, server);
  }

  get runtimeUrl(): string {
    return this.server.runtimeUrl;
  }

  /** What a replica needs to know of it. */
  get env(): Readonly<Record<string, string>> {
    return { DATABASE_URL: this.server.runtimeUrl, DATABASE_MIGRATION_URL: this.server.ownerUrl };
  }

  /** `pg_ctl stop -m fast`: sessions are cut, the port is closed. */
  async pause(): Promise<void> {
    const { pid } = this.#pidFile();
    // A signal to 0 would end the tests themselves.
    if (!(pid > 0)) throw new Error('Postgres is gone already');
    process.kill(pid, 'SIGINT');
    await until('Postgres is gone', LIMIT_MS, () => !isPostmasterOf(pid, this.#data));
  }

  /** The same program with the same arguments, which Postgres itself writes down. */
  async resume(): Promise<void> {
    const written = readFileSync(path.join(this.#data, 'postmaster.opts'), 'utf8');
    const args = [...written.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
    const { uid, gid } = statSync(this.#data);
    const child = spawn(written.slice(0, written.indexOf(' "')), args, {
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      stdio: 'ignore',
      detached: true,
    });
    child.unref();
    await until('Postgres is back', LIMIT_MS, () => {
      const { pid, state } = this.#pidFile();
      return pid === child.pid && state === 'ready';
    });
  }

  async remove(): Promise<void> {
    await this.server.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #pidFile(): { pid: number; state: string } {
    try {
      const lines = readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8').split('\n');
      return { pid: Number(lines[0]), state: (lines[7] ?? '').trim() };
    } catch {
      return { pid: 0, state: 'gone' };
    }
  }
}
