import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { safeError } from '../../../platform/telemetry/logger.js';
import type { RecordContext } from '../record-context.js';
import { STALE_AFTER_MS, type ProcessIdentity } from './process-identity.js';
import { isErrno } from './spool-files.js';

const OWNER_FILE = 'owner.json';
const ADOPTED = 'adopted';
/** Without a heartbeat for this long, somebody may already have taken the directory. */
const DOUBT_AFTER_MS = STALE_AFTER_MS / 2;

/** A directory that its process has not finished making. */
export const DRAFT_PREFIX = '.new-';

/** Names of instances' directories; anything else under the root is not an instance's. */
export const INSTANCE_NAME = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * This process's own directory under the spool's root. It holds segments, the owner's file (whose time of
 * change is the heartbeat) and, under `adopted/`, the directories of the dead, so that whoever adopts this
 * one adopts those with it. A directory without an owner's file has been released.
 */
export class SpoolHome {
  #id = randomUUID();
  #made = false;
  #beatMs: number;

  constructor(
    private readonly context: RecordContext,
    private readonly identity: ProcessIdentity,
  ) {
    this.#beatMs = context.clock.nowMs();
  }

  get id(): string {
    return this.#id;
  }

  get path(): string {
    return path.join(this.context.root, this.#id);
  }

  get adoptedPath(): string {
    return path.join(this.path, ADOPTED);
  }

  /** Makes the directory if it is not there yet; it appears with its owner's file or not at all. Throws what the file system throws. */
  ensure(): void {
    if (this.#made) return;
    const { files, root, clock } = this.context;
    const draft = path.join(root, `${DRAFT_PREFIX}${this.#id}`);
    files.makeDirectory(draft);
    files.writeText(ownerFile(draft), JSON.stringify(this.identity));
    files.rename(draft, this.path);
    this.#made = true;
    this.#beatMs = clock.nowMs();
  }

  /** False when the directory is somebody else's by now. */
  beat(): boolean {
    if (!this.#made) return true;
    const { files, clock, log } = this.context;
    try {
      files.touch(ownerFile(this.path), clock.nowMs());
      this.#beatMs = clock.nowMs();
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false;
      log.warn('spool_heartbeat_failed', { err: safeError(error) });
      return true;
    }
  }

  /** True after a pause so long that others may have declared this process dead. */
  inDoubt(): boolean {
    return this.context.clock.nowMs() - this.#beatMs > DOUBT_AFTER_MS;
  }

  /** Leaves the directory to whoever took it; the next `ensure` makes another. */
  renew(): void {
    this.#id = randomUUID();
    this.#made = false;
    this.#beatMs = this.context.clock.nowMs();
  }

  /** Gives the directory up: removed if nothing is left in it, else free for anybody to adopt. */
  release(): void {
    if (!this.#made) return;
    this.#made = false;
    const { files, log } = this.context;
    try {
      files.removeFile(ownerFile(this.path));
      for (const directory of [this.adoptedPath, this.path]) {
        if (files.list(directory).length === 0) files.removeDirectory(directory);
      }
    } catch (error) {
      // Still owned on paper, it is adopted once this process is gone.
      log.warn('spool_release_failed', { err: safeError(error) });
    }
  }
}

export function ownerFile(directory: string): string {
  return path.join(directory, OWNER_FILE);
}

export function adoptedIn(directory: string): string {
  return path.join(directory, ADOPTED);
}
