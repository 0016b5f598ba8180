import fs from 'node:fs';

export interface FileStat {
  readonly size: number;
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
}

/** The file system as the spool uses it; tests make it fail. Every method may throw a `NodeJS.ErrnoException`. */
export interface SpoolFiles {
  /** Makes a directory and its parents, readable by this user alone. */
  makeDirectory(path: string): void;
  /** Creates a file that must not exist yet, readable by this user alone. */
  create(path: string): number;
  /** Appends; returns how many bytes were taken. */
  write(descriptor: number, bytes: Buffer): number;
  close(descriptor: number): void;
  /** Forces a file's data to the disk, off the event loop. */
  sync(descriptor: number): Promise<void>;
  /** Forces a directory's entries to the disk, off the event loop. */
  syncDirectory(path: string): Promise<void>;
  read(path: string): Promise<Buffer>;
  readText(path: string): string;
  writeText(path: string, text: string): void;
  /** Names in a directory, sorted; none where there is no such directory. */
  list(path: string): string[];
  /** Null where there is no such file. */
  stat(path: string): FileStat | null;
  /** Sets the time of last change. Throws ENOENT where there is no such file. */
  touch(path: string, timeMs: number): void;
  /** Atomic. Throws where the source is gone or the target exists and is not empty. */
  rename(from: string, to: string): void;
  /** Removes a file; no error where there is none. */
  removeFile(path: string): void;
  /** Removes an empty directory; no error where there is none. */
  removeDirectory(path: string): void;
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export const nodeSpoolFiles: SpoolFiles = {
  makeDirectory: (path) => {
    fs.mkdirSync(path, { recursive: true, mode: DIRECTORY_MODE });
  },
  create: (path) => fs.openSync(path, 'ax', FILE_MODE),
  write: (descriptor, bytes) => fs.writeSync(descriptor, bytes),
  close: (descriptor) => fs.closeSync(descriptor),
  sync: (descriptor) =>
    new Promise((resolve, reject) => {
      fs.fdatasync(descriptor, (error) => (error ? reject(error) : resolve()));
    }),
  syncDirectory: async (path) => {
    const handle = await fs.promises.open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  read: (path) => fs.promises.readFile(path),
  readText: (path) => fs.readFileSync(path, 'utf8'),
  writeText: (path, text) => fs.writeFileSync(path, text, { mode: FILE_MODE }),
  list: (path) => {
    try {
      return fs.readdirSync(path).toSorted();
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return [];
      throw error;
    }
  },
  stat: (path) => {
    const found = fs.statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return null;
    return { size: found.size, modifiedMs: found.mtimeMs, isDirectory: found.isDirectory() };
  },
  touch: (path, timeMs) => fs.utimesSync(path, timeMs / 1000, timeMs / 1000),
  rename: (from, to) => fs.renameSync(from, to),
  removeFile: (path) => fs.rmSync(path, { force: true }),
  removeDirectory: (path) => {
    try {
      fs.rmdirSync(path);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  },
};

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
