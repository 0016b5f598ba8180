import type { Logger } from '../telemetry/logger.js';
import { programsFor } from './binaries.js';
import { withDirectoryLock } from './directory-lock.js';
import { findRunning, initialize, start, stop, type ServerFiles } from './postmaster.js';
import { provision, type ServerUrls } from './provision.js';
import { openHome } from './server-home.js';
import { chooseServerUser } from './server-user.js';
import { countUsers, registerUser } from './users-of-server.js';

export interface EmbeddedPostgresOptions {
  /** The server's own directory, such as `<SHUNT_DATA_DIR>/postgres`. */
  readonly dir: string;
  readonly logger: Logger;
  /**
   * A directory of Shunt's own above `dir`, usually SHUNT_DATA_DIR. Where this process is root, the user that the
   * server runs as gets leave to pass through it; without that, 0700 directories send the data to `systemDir`.
   */
  readonly enclosing?: string;
  /** False: faster, and the data does not survive the machine. For tests. */
  readonly durable?: boolean;
  /** Where data and programs go when the server's user cannot reach `dir` or the npm package. */
  readonly systemDir?: string;
}

export interface EmbeddedPostgres extends ServerUrls {
  /** False where the server ran already. */
  readonly startedHere: boolean;
  /**
   * Ends this process's use. The last process that uses the server stops it: an instance that found it running
   * takes nothing away from the one that started it, and the other way round, a server whose starter goes
   * first stays for those who use it still. One that outlived a killed process is stopped by its next user.
   */
  stop(): Promise<void>;
}

const SYSTEM_DIR = '/var/lib/shunt';

/**
 * Starts the Postgres that an npm package ships, or joins the one that already runs in `dir`. Rejects with an
 * `EmbeddedPostgresError`, which says what to do instead.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { dir, logger, durable = true, enclosing = null, systemDir = SYSTEM_DIR } = options;
  const user = chooseServerUser();
  const place = openHome({ dir, enclosing, systemDir }, user);
  return withDirectoryLock(place.home, async () => {
    const files = { ...place, user, durable, programs: programsFor(user, systemDir) };
    const running = await findRunning(files);
    const server = running ?? (await startAnew(files, logger));
    const urls = await provision(server, files.credentials);
    const unregister = registerUser(files.home);
    let stopped: Promise<void> | null = null;
    const release = (): Promise<void> =>
      withDirectoryLock(files.home, async () => {
        unregister();
        if (countUsers(files.home) > 0) return;
        const current = await findRunning(files);
        if (current) await stop(current, files.dataDir);
      });
    return {
      ...urls,
      startedHere: running === null,
      stop: () => (stopped ??= release()),
    };
  });
}

async function startAnew(
  files: ServerFiles,
  logger: Logger,
): Promise<{ pid: number; port: number }> {
  await initialize(files);
  const { child, ...server } = await start(files);
  child.once('exit', (code) => logger.info({ code }, 'embedded Postgres ended'));
  return server;
}
