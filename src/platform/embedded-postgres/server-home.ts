import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { ensureOwnDirectory, letPass } from './private-directory.js';
import { canWrite, type ServerUser } from './server-user.js';

/** Generated once per data directory. */
export interface Credentials {
  readonly superuser: string;
  readonly owner: string;
  readonly runtime: string;
}

/** Where one embedded server keeps what it needs. */
export interface ServerHome {
  /** Passwords, log, lock and the list of users; belongs to this process's user. */
  readonly home: string;
  /** Postgres's own data directory; belongs to the server's user. */
  readonly dataDir: string;
  readonly credentials: Credentials;
}

export interface HomePlaces {
  readonly dir: string;
  /** A directory of Shunt's own above `dir`, through which the server's user may be let. */
  readonly enclosing: string | null;
  readonly systemDir: string;
}

export function openHome(places: HomePlaces, user: ServerUser): ServerHome {
  const home = path.resolve(places.dir);
  if (user === null) {
    ensureOwnDirectory(home, 0o700);
  } else {
    if (places.enclosing !== null) letPass(path.resolve(places.enclosing), user);
    letPass(home, user);
  }
  const dataDir = locateData(home, user, places.systemDir);
  return { home, dataDir, credentials: credentialsIn(home) };
}

/**
 * Beside the passwords, or, where the server's user cannot get there (a 0700 directory above), in a directory
 * of its own that only root could have made. Its name is random and written down in `location`: whoever deletes
 * `dir` to start afresh does start afresh, instead of finding the old data under a name made from the path.
 */
function locateData(home: string, user: ServerUser, systemDir: string): string {
  const beside = path.join(home, 'data');
  const pointer = path.join(home, 'location');
  if (existsSync(pointer)) {
    const elsewhere = readFileSync(pointer, 'utf8').trim();
    if (!existsSync(elsewhere)) {
      throw new EmbeddedPostgresError(
        `its data is gone: ${pointer} names ${elsewhere}, which does not exist (delete ${home} to start afresh)`,
      );
    }
    ensureOwnDirectory(elsewhere, 0o700, user);
    return elsewhere;
  }
  ensureOwnDirectory(beside, 0o700, user);
  if (canWrite(user, beside)) return beside;
  if (readdirSync(beside).length > 0) {
    throw new EmbeddedPostgresError(
      `the server's user (uid ${user?.uid}) can no longer reach ${beside}`,
    );
  }
  rmSync(beside, { recursive: true });
  ensureOwnDirectory(systemDir, 0o755);
  const elsewhere = path.join(systemDir, `data-${randomBytes(12).toString('hex')}`);
  ensureOwnDirectory(elsewhere, 0o700, user);
  writeNew(pointer, `${elsewhere}\n`);
  return elsewhere;
}

function credentialsIn(home: string): Credentials {
  const file = path.join(home, 'credentials.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Credentials;
  const password = (): string => randomBytes(24).toString('base64url');
  const made = { superuser: password(), owner: password(), runtime: password() };
  writeNew(file, JSON.stringify(made));
  return made;
}

/** Complete or absent, whenever the process dies. */
function writeNew(file: string, content: string): void {
  const partial = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(partial, content, { mode: 0o600, flag: 'wx' });
  renameSync(partial, file);
}
