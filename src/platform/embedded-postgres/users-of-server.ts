import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { identity, stillRuns, type ProcessIdentity } from './directory-lock.js';

/** Notes that this process uses the server of `home`; returns what takes the note away. */
export function registerUser(home: string): () => void {
  const directory = path.join(home, 'users');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = path.join(directory, `${process.pid}-${randomBytes(6).toString('hex')}`);
  writeFileSync(file, JSON.stringify(identity(process.pid)), { mode: 0o600, flag: 'wx' });
  return () => rmSync(file, { force: true });
}

/** How many users are alive; clears away the notes of those that died. */
export function countUsers(home: string): number {
  const directory = path.join(home, 'users');
  let alive = 0;
  for (const name of readdirSync(directory)) {
    const file = path.join(directory, name);
    if (stillRuns(JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity)) alive += 1;
    else rmSync(file, { force: true });
  }
  return alive;
}
