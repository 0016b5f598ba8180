import { execFileSync } from 'node:child_process';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';

/** Whom the server runs as; `null` for the user of this process. Postgres refuses to run as root. */
export type ServerUser = { readonly uid: number; readonly gid: number } | null;

const PROBE_TIMEOUT_MS = 5_000;

/** Root hands the server to `postgres`, or to `nobody` where there is no such user. */
export function chooseServerUser(): ServerUser {
  if (process.getuid?.() !== 0) return null;
  const user = lookUp('postgres') ?? lookUp('nobody');
  if (user) return user;
  throw new EmbeddedPostgresError(
    'this process is root and there is neither a user "postgres" nor a user "nobody" to run the server',
  );
}

/** True where that user can run `binary`: every directory above it must let it pass. */
export function canRun(user: ServerUser, binary: string): boolean {
  return succeeds(user, binary, ['--version']);
}

/** True where that user can enter and write `directory`. */
export function canWrite(user: ServerUser, directory: string): boolean {
  if (user === null) return true;
  return succeeds(user, '/bin/sh', ['-c', 'test -w "$0" && test -x "$0"', directory]);
}

function succeeds(user: ServerUser, program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, {
      ...user,
      cwd: '/',
      stdio: 'ignore',
      timeout: PROBE_TIMEOUT_MS,
    });
    return true;
  } catch {
    return false;
  }
}

function lookUp(name: string): ServerUser {
  const id = (flag: string): number =>
    Number(
      execFileSync('id', [flag, name], {
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: PROBE_TIMEOUT_MS,
      }),
    );
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return null;
  }
}
