import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';

/** True while a process has this id, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * When a process started, in whatever unit the system has: an id and this tell a process from a later one that
 * got the same id. Null where the system does not say.
 */
export function startMarkOf(pid: number): string | null {
  try {
    // The second field may hold spaces and parentheses; the rest follows the last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** True where the process is a Postgres server of this data directory; false also for another program with its id. */
export function isPostmasterOf(pid: number, dataDir: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    if (process.platform === 'linux') {
      // The server's working directory is its data directory.
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDir);
    }
    if (process.platform === 'win32') return true;
    const command = execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { timeout: 5_000 });
    return command.toString().includes(dataDir);
  } catch {
    return false;
  }
}
