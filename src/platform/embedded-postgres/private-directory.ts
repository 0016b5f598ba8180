import { chmodSync, chownSync, lstatSync, mkdirSync } from 'node:fs';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import type { ServerUser } from './server-user.js';

/**
 * Makes `directory`, or takes it where it is already there and safe: a real directory (a link could lead
 * anywhere), owned by this process's user or by the server's, writable for nobody else.
 */
export function ensureOwnDirectory(directory: string, mode: number, user: ServerUser = null): void {
  mkdirSync(directory, { recursive: true, mode });
  const found = lstatSync(directory);
  if (!found.isDirectory()) throw new EmbeddedPostgresError(`${directory} is not a directory`);
  if (process.getuid === undefined) return;
  if (found.uid !== process.getuid() && found.uid !== user?.uid) {
    throw new EmbeddedPostgresError(`${directory} belongs to another user (uid ${found.uid})`);
  }
  if ((found.mode & 0o022) !== 0) {
    throw new EmbeddedPostgresError(`${directory} can be written by other users`);
  }
  if (user && found.uid !== user.uid) chownSync(directory, user.uid, user.gid);
  if ((found.mode & 0o777) !== mode) chmodSync(directory, mode);
}

/**
 * Lets the server's group, and nobody else, pass through a directory of this process's user on its way to the
 * data; it can list nothing there.
 */
export function letPass(directory: string, user: ServerUser): void {
  if (user === null) return;
  ensureOwnDirectory(directory, 0o710);
  chownSync(directory, process.getuid?.() ?? 0, user.gid);
}
