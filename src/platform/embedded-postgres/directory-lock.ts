import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EmbeddedPostgresError } from './embedded-postgres-error.js';
import { isAlive, startMarkOf } from './process-identity.js';

const WAIT_MS_MAX = 90_000;
const POLL_MS = 25;

/**
 * Runs `work` while no other process on this machine starts or stops the server of `home`. A lock whose holder
 * is gone is broken.
 */
export async function withDirectoryLock<T>(home: string, work: () => Promise<T>): Promise<T> {
  const lock = path.join(home, 'lock');
  const mine = path.join(home, `lock.${randomBytes(6).toString('hex')}`);
  // Written apart and linked into place, so that nobody ever reads a lock without its holder.
  writeFileSync(mine, JSON.stringify(identity(process.pid)), { mode: 0o600 });
  try {
    await acquire(lock, mine);
    try {
      return await work();
    } finally {
      rmSync(lock, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

export interface ProcessIdentity {
  readonly pid: number;
  readonly startMark: string | null;
}

export function identity(pid: number): ProcessIdentity {
  return { pid, startMark: startMarkOf(pid) };
}

/** False once the process ended, also when another has its id by now. */
export function stillRuns({ pid, startMark }: ProcessIdentity): boolean {
  return isAlive(pid) && (startMark === null || startMark === startMarkOf(pid));
}

async function acquire(lock: string, mine: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  for (;;) {
    try {
      linkSync(mine, lock);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    breakIfAbandoned(lock);
    if (performance.now() > deadline) {
      throw new EmbeddedPostgresError(
        `another process has held ${lock} for ${WAIT_MS_MAX / 1_000} s`,
      );
    }
    await delay(POLL_MS);
  }
}

function breakIfAbandoned(lock: string): void {
  try {
    const holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity;
    if (stillRuns(holder)) return;
    // Renamed, not removed: of several that break the lock at once, each moves only what was there.
    const broken = `${lock}.broken.${randomBytes(6).toString('hex')}`;
    renameSync(lock, broken);
    const moved = JSON.parse(readFileSync(broken, 'utf8')) as ProcessIdentity;
    if (stillRuns(moved)) linkSync(broken, lock);
    rmSync(broken, { force: true });
  } catch {
    // It was released meanwhile.
  }
}
