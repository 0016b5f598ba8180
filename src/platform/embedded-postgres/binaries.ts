import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { ensureOwnDirectory } from './private-directory.js';
import { canRun, type ServerUser } from './server-user.js';

const SUFFIX = process.platform === 'win32' ? '.exe' : '';
const PROGRAMS = ['postgres', 'initdb'] as const;

export type Programs = Readonly<Record<(typeof PROGRAMS)[number], string>>;

/** The server's programs, in a place from where `user` can run them. */
export function programsFor(user: ServerUser, systemDir: string): Programs {
  const native = packageDirectory();
  hydrateLinks(native);
  makeExecutable(native);
  if (canRun(user, programsIn(native).postgres)) return programsIn(native);
  if (user === null) {
    throw new EmbeddedPostgresError(`${programsIn(native).postgres} does not run on this machine`);
  }
  const copied = programsIn(privateCopy(native, systemDir));
  if (canRun(user, copied.postgres)) return copied;
  throw new EmbeddedPostgresError(
    `user ${user.uid} can run the server neither here nor in ${systemDir}`,
  );
}

function packageDirectory(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const candidates = createRequire(import.meta.url).resolve.paths(name) ?? [];
  const found = candidates
    .map((base) => path.join(base, name, 'native'))
    .find((directory) => existsSync(directory));
  if (found) return found;
  throw new EmbeddedPostgresError(`the npm package ${name} is not installed`);
}

/** What the package's own install script does; npm may have been told to run none. */
function hydrateLinks(native: string): void {
  const list = path.join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  const root = path.dirname(native);
  for (const { source, target } of links) {
    const link = path.join(root, target);
    if (existsSync(link)) continue;
    rmSync(link, { force: true });
    try {
      symlinkSync(path.relative(path.dirname(link), path.join(root, source)), link);
    } catch (error) {
      // Another process may be making the same links.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

function makeExecutable(native: string): void {
  for (const program of Object.values(programsIn(native))) {
    try {
      accessSync(program, constants.X_OK);
    } catch {
      chmodSync(program, 0o755);
    }
  }
}

function programsIn(native: string): Programs {
  const entries = PROGRAMS.map((name) => [name, path.join(native, 'bin', `${name}${SUFFIX}`)]);
  return Object.fromEntries(entries) as Programs;
}

/**
 * A copy for a server user who cannot reach the package (a checkout under /root, say). It lies in a directory
 * that root alone can write, and takes its name only once it is complete.
 */
function privateCopy(native: string, systemDir: string): string {
  const { version } = JSON.parse(
    readFileSync(path.join(path.dirname(native), 'package.json'), 'utf8'),
  ) as { version: string };
  ensureOwnDirectory(systemDir, 0o755);
  const copy = path.join(systemDir, `postgres-${version}`);
  if (existsSync(copy)) {
    ensureOwnDirectory(copy, 0o755);
    return copy;
  }
  const partial = `${copy}.${randomBytes(6).toString('hex')}`;
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
  openForReading(partial);
  try {
    renameSync(partial, copy);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    // Another process finished the same copy first.
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

/** The copy keeps the package's modes, which a strict umask may have narrowed. */
function openForReading(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(directory, entry);
    const found = lstatSync(file);
    if (found.isSymbolicLink()) continue;
    const executable = found.isDirectory() || (found.mode & 0o100) !== 0;
    chmodSync(file, executable ? 0o755 : 0o644);
  }
}
