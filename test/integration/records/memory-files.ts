import path from 'node:path';
import type { FileStat, SpoolFiles } from '../../../src/modules/records/spool/spool-files.js';

interface Inode {
  bytes: Buffer;
  modifiedMs: number;
}

type Operation = 'create' | 'write' | 'sync' | 'read' | 'rename' | 'touch' | 'makeDirectory';

/** A file system in memory that outlives the "processes" of a test, and fails when told to. */
export class MemoryFiles implements SpoolFiles {
  readonly #files = new Map<string, Inode>();
  readonly #directories = new Set<string>(['/']);
  readonly #open = new Map<number, Inode>();
  readonly #faults = new Map<Operation, string>();
  #descriptor = 3;
  writes = 0;
  syncs = 0;
  /** Bytes that the next writes take before the disk is full; null for all. */
  room: number | null = null;

  constructor(private readonly nowMs: () => number = () => 0) {}

  fail(operation: Operation, code: string | null): void {
    if (code === null) this.#faults.delete(operation);
    else this.#faults.set(operation, code);
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    return [...this.#files.keys()].toSorted();
  }

  bytes(file: string): Buffer {
    return this.#inode(file).bytes;
  }

  replace(file: string, bytes: Buffer): void {
    this.#inode(file).bytes = bytes;
  }

  makeDirectory(directory: string): void {
    this.#check('makeDirectory');
    for (let at = directory; !this.#directories.has(at); at = path.dirname(at)) {
      this.#directories.add(at);
    }
  }

  create(file: string): number {
    this.#check('create');
    if (this.#files.has(file)) throw errno('EEXIST');
    if (!this.#directories.has(path.dirname(file))) throw errno('ENOENT');
    const inode = { bytes: Buffer.alloc(0), modifiedMs: this.nowMs() };
    this.#files.set(file, inode);
    this.#open.set(++this.#descriptor, inode);
    return this.#descriptor;
  }

  write(descriptor: number, bytes: Buffer): number {
    this.writes += 1;
    this.#check('write');
    const inode = this.#open.get(descriptor);
    if (inode === undefined) throw errno('EBADF');
    const taken = this.room === null ? bytes.length : Math.min(bytes.length, this.room);
    if (this.room !== null) this.room -= taken;
    if (taken === 0) throw errno('ENOSPC');
    inode.bytes = Buffer.concat([inode.bytes, bytes.subarray(0, taken)]);
    return taken;
  }

  close(descriptor: number): void {
    if (!this.#open.delete(descriptor)) throw errno('EBADF');
  }

  async sync(): Promise<void> {
    this.syncs += 1;
    this.#check('sync');
  }

  async syncDirectory(): Promise<void> {
    return undefined;
  }

  async read(file: string): Promise<Buffer> {
    this.#check('read');
    return Buffer.from(this.#inode(file).bytes);
  }

  readText(file: string): string {
    return this.#inode(file).bytes.toString('utf8');
  }

  writeText(file: string, text: string): void {
    this.#files.set(file, { bytes: Buffer.from(text), modifiedMs: this.nowMs() });
  }

  list(directory: string): string[] {
    const names = [...this.#files.keys(), ...this.#directories]
      .filter((entry) => entry !== directory && path.dirname(entry) === directory)
      .map((entry) => path.basename(entry));
    return names.toSorted();
  }

  stat(entry: string): FileStat | null {
    const inode = this.#files.get(entry);
    if (inode !== undefined) {
      return { size: inode.bytes.length, modifiedMs: inode.modifiedMs, isDirectory: false };
    }
    return this.#directories.has(entry) ? { size: 0, modifiedMs: 0, isDirectory: true } : null;
  }

  touch(file: string, timeMs: number): void {
    this.#check('touch');
    this.#inode(file).modifiedMs = timeMs;
  }

  rename(from: string, to: string): void {
    this.#check('rename');
    if (this.stat(from) === null) throw errno('ENOENT');
    const moved = (entry: string): string => to + entry.slice(from.length);
    const inside = (entry: string): boolean => entry === from || entry.startsWith(`${from}/`);
    for (const [file, inode] of [...this.#files]) {
      if (!inside(file)) continue;
      this.#files.delete(file);
      this.#files.set(moved(file), inode);
    }
    for (const directory of [...this.#directories].filter(inside)) {
      this.#directories.delete(directory);
      this.#directories.add(moved(directory));
    }
  }

  removeFile(file: string): void {
    this.#files.delete(file);
  }

  removeDirectory(directory: string): void {
    if (this.list(directory).length > 0) throw errno('ENOTEMPTY');
    this.#directories.delete(directory);
  }

  #inode(file: string): Inode {
    const inode = this.#files.get(file);
    if (inode === undefined) throw errno('ENOENT');
    return inode;
  }

  #check(operation: Operation): void {
    const code = this.#faults.get(operation);
    if (code !== undefined) throw errno(code);
  }
}

function errno(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}
