import { randomUUID } from 'node:crypto';
import {
  chownSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { systemClock, type Clock } from '../../platform/clock.js';

const act = z.object({
  /** Names the act for good: it is audited once under it. */
  id: z.uuid(),
  kind: z.enum(['engaged', 'released']),
  /** The user of the operating system. */
  by: z.string().min(1).max(200),
  reason: z.string().min(1).max(1_000),
  /** Epoch, milliseconds. */
  atMs: z.int().nonnegative(),
});

/** Somebody at the machine took its routing away, or gave it back. */
export type LocalKillAct = z.infer<typeof act>;

export interface LocalKillOrder {
  readonly by: string;
  readonly reason: string;
}

export type LocalKillState =
  | { readonly engaged: false; readonly last: LocalKillAct | null }
  /** `last` is null where the latest act cannot be read: routing is off, to be safe. */
  | { readonly engaged: true; readonly last: LocalKillAct | null };

const DIRECTORY = 'local-kill';
const NUMBER_DIGITS = 12;
const ACT_FILE = /^\d{12}\.json$/;
/** Commands that are given in the same instant; each takes the next number. */
const ATTEMPTS_MAX = 100;

/**
 * The kill switch that works with everything else down: files in the data directory, which each process of that
 * directory watches. One file per act, numbered, complete or absent; the latest is the state, so that taking effect
 * and being on record are the same step. Beside an act that is in the audit trail stands a mark that says so.
 */
export class LocalKill {
  readonly directory: string;

  constructor(
    private readonly dataDir: string,
    private readonly clock: Clock = systemClock,
  ) {
    this.directory = path.join(dataDir, DIRECTORY);
  }

  /** Every process of the data directory passes through within a second, until `release`. */
  engage(order: LocalKillOrder): LocalKillAct {
    return this.#enter('engaged', order);
  }

  release(order: LocalKillOrder): LocalKillAct {
    return this.#enter('released', order);
  }

  /** What cannot be read counts as engaged. */
  state(): LocalKillState {
    const files = this.#readable();
    if (files === null) return { engaged: true, last: null };
    const latest = files.at(-1);
    if (latest === undefined) return { engaged: false, last: null };
    const last = this.read(latest);
    if (last === null) return { engaged: true, last };
    return { engaged: last.kind === 'engaged', last };
  }

  /** Names of the acts, the oldest first. */
  files(): string[] {
    try {
      return actFiles(readdirSync(this.directory));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** Null where the file is gone or cannot be read. */
  read(file: string): LocalKillAct | null {
    try {
      return act.parse(JSON.parse(readFileSync(path.join(this.directory, file), 'utf8')));
    } catch {
      return null;
    }
  }

  /** Acts that are not in the audit trail yet, the oldest first. */
  unaudited(): { readonly file: string; readonly act: LocalKillAct }[] {
    const marks = new Set(this.#names());
    return this.files()
      .filter((file) => !marks.has(markOf(file)))
      .flatMap((file) => {
        const found = this.read(file);
        return found === null ? [] : [{ file, act: found }];
      });
  }

  /** The act is in the trail; older ones that are, are removed. The latest stays: it is the state. */
  markAudited(file: string): void {
    writeFileSync(path.join(this.directory, markOf(file)), '', { mode: 0o600 });
    const names = new Set(this.#names());
    for (const old of actFiles([...names]).slice(0, -1)) {
      if (!names.has(markOf(old))) continue;
      // The act goes first: a mark without an act means nothing.
      rmSync(path.join(this.directory, old), { force: true });
      rmSync(path.join(this.directory, markOf(old)), { force: true });
    }
  }

  #readable(): string[] | null {
    try {
      return this.files();
    } catch {
      return null;
    }
  }

  #names(): string[] {
    try {
      return readdirSync(this.directory);
    } catch {
      return [];
    }
  }

  #enter(kind: LocalKillAct['kind'], { by, reason }: LocalKillOrder): LocalKillAct {
    const entered = act.parse({ id: randomUUID(), kind, by, reason, atMs: this.clock.nowMs() });
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    giveToOwnerOf(this.dataDir, this.directory);
    const draft = path.join(this.directory, `.${entered.id}`);
    writeDurably(draft, `${JSON.stringify(entered)}\n`);
    giveToOwnerOf(this.dataDir, draft);
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
        const latest = Number.parseInt(this.files().at(-1) ?? '0', 10);
        const file = `${String(latest + 1).padStart(NUMBER_DIGITS, '0')}.json`;
        if (place(draft, path.join(this.directory, file))) {
          syncDirectory(this.directory);
          return entered;
        }
      }
      throw new Error('Too many local kill commands at the same time');
    } finally {
      rmSync(draft, { force: true });
    }
  }
}

/** Of the names in the directory, those of acts, the oldest first. */
export function actFiles(names: readonly string[]): string[] {
  return names.filter((name) => ACT_FILE.test(name)).toSorted();
}

function markOf(file: string): string {
  return file.replace(/\.json$/, '.audited');
}

function writeDurably(file: string, text: string): void {
  const handle = openSync(file, 'wx', 0o600);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The administrator gives the order; the processes that must read it run as somebody else. */
function giveToOwnerOf(dataDir: string, file: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dataDir);
  chownSync(file, uid, gid);
}

/** So that the act outlives the machine's end, not only the process's; some file systems cannot, and need not. */
function syncDirectory(directory: string): void {
  let handle: number | null = null;
  try {
    handle = openSync(directory, 'r');
    fsyncSync(handle);
  } catch {
    // The act took effect all the same.
  } finally {
    if (handle !== null) closeSync(handle);
  }
}

/** Whole, at once, and only where no other act has the number. */
function place(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
