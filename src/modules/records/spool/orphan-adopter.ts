import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { safeError } from '../../../platform/telemetry/logger.js';
import type { RecordContext } from '../record-context.js';
import type { Backlog, RecordQueue } from '../record-queue.js';
import { OrphanReplay } from './orphan-replay.js';
import { STALE_AFTER_MS, isAlive, type ProcessIdentity } from './process-identity.js';
import { isErrno } from './spool-files.js';
import { DRAFT_PREFIX, INSTANCE_NAME, adoptedIn, ownerFile, type SpoolHome } from './spool-home.js';

export const LOOK_FOR_ORPHANS_MS = 10_000;
/** Directories examined, and taken, at one look; the rest wait for the next. */
const EXAMINED_PER_LOOK = 64;
const TAKEN_PER_LOOK = 8;
/** How deep the spool's directories are measured: root / instance / adopted / instance. */
const DEPTH_MAX = 4;

export type Liveness = (owner: ProcessIdentity, heartbeatAgeMs: number) => boolean;

/**
 * Takes over the spools of processes that died, this one's predecessor among them. A directory is taken by
 * renaming it into one's own: of two who try, one succeeds; and who adopts this process adopts it too.
 */
export class OrphanAdopter implements Backlog {
  #replays: OrphanReplay[] = [];
  #examineFrom = 0;
  #looked = false;
  #homeId: string;

  constructor(
    private readonly context: RecordContext,
    private readonly home: SpoolHome,
    private readonly alive: Liveness = isAlive,
  ) {
    this.#homeId = home.id;
  }

  /** At start, and every `LOOK_FOR_ORPHANS_MS`. Returns how many were taken; never throws. */
  look(): number {
    this.#dropIfTakenOver();
    try {
      if (!this.#looked) this.#retryUnreadable();
      this.#looked = true;
      this.#removeDrafts();
      const orphans = this.#orphans();
      for (const name of orphans) this.#take(path.join(this.context.root, name), name);
      return orphans.length;
    } catch (error) {
      this.context.log.warn('orphan_look_failed', { err: safeError(error) });
      return 0;
    }
  }

  /** Size of all files under the root. */
  measureBytes(): number {
    try {
      return this.#bytesUnder(this.context.root, DEPTH_MAX);
    } catch (error) {
      this.context.log.warn('spool_measure_failed', { err: safeError(error) });
      return 0;
    }
  }

  async refill(queue: RecordQueue): Promise<boolean> {
    this.#dropIfTakenOver();
    for (const replay of this.#replays) {
      const step = await replay.step(queue);
      if (step === 'waiting') continue;
      if (step === 'done') this.#replays.splice(this.#replays.indexOf(replay), 1);
      return true;
    }
    return false;
  }

  /** Spools that are not wholly in Postgres yet. */
  get pending(): number {
    return this.#replays.length;
  }

  oldestMs(): number | null {
    return null;
  }

  /** Whoever took this process's directory took what it had adopted with it. */
  #dropIfTakenOver(): void {
    if (this.#homeId === this.home.id) return;
    this.#homeId = this.home.id;
    this.#replays = [];
  }

  #orphans(): string[] {
    const { files, root } = this.context;
    const names = files.list(root).filter((name) => INSTANCE_NAME.test(name));
    const others = names.filter((name) => name !== this.home.id);
    if (this.#examineFrom >= others.length) this.#examineFrom = 0;
    const examined = others.slice(this.#examineFrom, this.#examineFrom + EXAMINED_PER_LOOK);
    this.#examineFrom += EXAMINED_PER_LOOK;
    return examined
      .filter((name) => this.#isOrphan(path.join(root, name)))
      .slice(0, TAKEN_PER_LOOK);
  }

  #isOrphan(directory: string): boolean {
    const { files, clock } = this.context;
    const stat = files.stat(ownerFile(directory));
    // Released by its owner: it appears with an owner's file, so a missing one was removed.
    if (stat === null) return files.stat(directory) !== null;
    const owner = readOwner(() => files.readText(ownerFile(directory)));
    const heartbeatAgeMs = clock.nowMs() - stat.modifiedMs;
    return !this.alive(owner, heartbeatAgeMs);
  }

  #take(from: string, name: string): void {
    const { files, metrics, log } = this.context;
    const to = path.join(this.home.adoptedPath, name);
    try {
      this.home.ensure();
      files.makeDirectory(this.home.adoptedPath);
      files.rename(from, to);
    } catch (error) {
      // Another survivor was faster.
      if (!isErrno(error, 'ENOENT')) log.warn('orphan_take_failed', { err: safeError(error) });
      return;
    }
    metrics.adopted.inc();
    log.info('orphan_spool_adopted', { instance: name });
    for (const nested of files.list(adoptedIn(to))) {
      files.rename(path.join(adoptedIn(to), nested), path.join(this.home.adoptedPath, nested));
      this.#replays.push(new OrphanReplay(this.context, path.join(this.home.adoptedPath, nested)));
    }
    files.removeDirectory(adoptedIn(to));
    this.#replays.push(new OrphanReplay(this.context, to));
  }

  /** Once per process: with the key that was missing, what was put aside may be readable now. */
  #retryUnreadable(): void {
    const { files, root } = this.context;
    const aside = path.join(root, 'unreadable');
    if (files.list(aside).length === 0) return;
    this.home.ensure();
    files.makeDirectory(this.home.adoptedPath);
    const to = path.join(this.home.adoptedPath, randomUUID());
    files.rename(aside, to);
    this.#replays.push(new OrphanReplay(this.context, to));
  }

  /** What a process left that died while it made its directory: nothing was in it yet. */
  #removeDrafts(): void {
    const { files, root, clock } = this.context;
    const drafts = files.list(root).filter((name) => name.startsWith(DRAFT_PREFIX));
    for (const name of drafts.slice(0, EXAMINED_PER_LOOK)) {
      const owner = ownerFile(path.join(root, name));
      const stat = files.stat(owner) ?? files.stat(path.join(root, name));
      if (stat === null || clock.nowMs() - stat.modifiedMs < STALE_AFTER_MS) continue;
      files.removeFile(owner);
      files.removeDirectory(path.join(root, name));
    }
  }

  #bytesUnder(directory: string, depth: number): number {
    const { files } = this.context;
    let bytes = 0;
    for (const name of files.list(directory)) {
      const entry = path.join(directory, name);
      const stat = files.stat(entry);
      if (stat === null) continue;
      if (!stat.isDirectory) bytes += stat.size;
      else if (depth > 0) bytes += this.#bytesUnder(entry, depth - 1);
    }
    return bytes;
  }
}

const NOBODY: ProcessIdentity = {
  hostname: '',
  boot_id: null,
  pid_namespace: null,
  pid: 0,
  process_started: null,
};

/** An owner's file that cannot be understood names nobody whom one could look up: its heartbeat decides. */
function readOwner(read: () => string): ProcessIdentity {
  try {
    return { ...NOBODY, ...(JSON.parse(read()) as Partial<ProcessIdentity>) };
  } catch {
    return NOBODY;
  }
}
