import fs from 'node:fs';
import os from 'node:os';

/** Names one process among all that may share a spool directory, those of other hosts and containers included. */
export interface ProcessIdentity {
  readonly hostname: string;
  /** Null where the system does not tell (not Linux). */
  readonly boot_id: string | null;
  readonly pid_namespace: string | null;
  readonly pid: number;
  /** Clock ticks from boot to the start of the process: tells a reused pid apart. */
  readonly process_started: string | null;
}

/** Heartbeat of a live process, and the age at which a process that cannot be looked at counts as dead. */
export const HEARTBEAT_MS = 5_000;
export const STALE_AFTER_MS = 60_000;

export function currentIdentity(): ProcessIdentity {
  return {
    hostname: os.hostname(),
    boot_id: readOrNull(() => fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pid_namespace: readOrNull(() => fs.readlinkSync('/proc/self/ns/pid')),
    pid: process.pid,
    process_started: processStarted(process.pid),
  };
}

/**
 * Whether the owner of a spool lives. A process of the same kernel and pid namespace is looked up, and
 * its heartbeat does not matter; of any other the heartbeat is all there is.
 */
export function isAlive(
  owner: ProcessIdentity,
  heartbeatAgeMs: number,
  self: ProcessIdentity = currentIdentity(),
): boolean {
  const visible =
    owner.hostname === self.hostname &&
    owner.boot_id === self.boot_id &&
    owner.pid_namespace === self.pid_namespace;
  if (!visible) return heartbeatAgeMs < STALE_AFTER_MS;
  if (owner.process_started !== null) return processStarted(owner.pid) === owner.process_started;
  // Without start times a pid may be somebody else's by now, so the heartbeat has a say.
  return pidExists(owner.pid) && heartbeatAgeMs < STALE_AFTER_MS;
}

/** Field 22 of /proc/<pid>/stat; the command before it may hold spaces and parentheses. Null for a zombie: it writes no more. */
function processStarted(pid: number): string | null {
  return readOrNull(() => {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  });
}

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and is another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    // Not Linux, or the process is gone: both are answers.
    return null;
  }
}
