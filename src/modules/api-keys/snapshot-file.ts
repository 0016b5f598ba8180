import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { decodeKey, encodeKey, type KeyOnDisk } from './principal-snapshot.js';

/** A snapshot cannot be used; the message says why, and holds nothing of it. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
}

const FILE = 'principals.snapshot';
const MAGIC = 'shunt-principals-2\n';
const ID_BYTES = 16;
const LENGTH_BYTES = 4;
/** A chunk is what is made in one turn of the event loop. */
const KEYS_PER_CHUNK = 50;
const FILE_BYTES_MAX = 2 * 1024 ** 3;

interface Header {
  /** The last time (epoch, milliseconds) that the database confirmed what follows. */
  readonly confirmedAtMs: number;
  readonly keys: number;
}

export interface Snapshot extends Header {
  entries(): Iterable<KeyOnDisk>;
}

/**
 * What a replica needs to serve known keys without a database, in the data directory, encrypted with the
 * installation's key. The file: a name of the format, a random id, then chunks (length, sealed lines of JSON); each is
 * bound to the file and to its place in it. The last one is the header, so that a file that was cut has none.
 */
export class SnapshotFile {
  readonly #path: string;

  constructor(
    private readonly dataDir: string,
    private readonly secretBox: SecretBox,
  ) {
    this.#path = path.join(dataDir, FILE);
  }

  /** Whole or not at all; gives the event loop a turn after every 50 keys. */
  async write(
    entries: Iterable<KeyOnDisk>,
    keysMax: number,
    confirmedAtMs: number,
  ): Promise<number> {
    const id = randomBytes(ID_BYTES);
    await mkdir(this.dataDir, { recursive: true, mode: 0o700 });
    const draft = `${this.#path}.${id.toString('hex')}`;
    try {
      const file = await open(draft, 'wx', 0o600);
      let keys = 0;
      try {
        await file.write(Buffer.concat([Buffer.from(MAGIC), id]));
        let chunks = 0;
        for (const lines of linesOf(entries, keysMax)) {
          await this.#append(file, id, String(chunks), lines.join('\n'));
          chunks += 1;
          keys += lines.length;
          await turn();
        }
        const header: Header = { confirmedAtMs, keys };
        await this.#append(file, id, `header:${chunks}`, JSON.stringify(header));
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(draft, this.#path);
      return keys;
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Null where there is none; throws a `SnapshotError`, or a `SecretBoxError`, where it cannot be used. */
  async read(): Promise<Snapshot | null> {
    const bytes = await this.#bytes();
    if (bytes === null) return null;
    const start = MAGIC.length + ID_BYTES;
    if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC || bytes.length < start) {
      throw new SnapshotError('it is not a snapshot of this version');
    }
    const id = bytes.subarray(MAGIC.length, start);
    const chunks = chunksOf(bytes.subarray(start));
    const last = chunks.pop();
    if (last === undefined) throw new SnapshotError('it is incomplete');
    const opened = this.secretBox.open(last, aad(id, `header:${chunks.length}`));
    const header = JSON.parse(opened.toString()) as Header;
    const { secretBox } = this;
    return {
      ...header,
      *entries() {
        for (const [place, chunk] of chunks.entries()) {
          const lines = secretBox.open(chunk, aad(id, String(place))).toString();
          for (const line of lines.split('\n')) yield decodeKey(line);
        }
      },
    };
  }

  async #bytes(): Promise<Buffer | null> {
    try {
      const bytes = await readFile(this.#path);
      if (bytes.length > FILE_BYTES_MAX) throw new SnapshotError('it is too large');
      return bytes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async #append(file: FileHandle, id: Buffer, place: string, text: string): Promise<void> {
    const sealed = this.secretBox.seal(text, aad(id, place));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(sealed.length);
    await file.write(Buffer.concat([length, sealed]));
  }
}

function* linesOf(entries: Iterable<KeyOnDisk>, keysMax: number): Generator<string[]> {
  let lines: string[] = [];
  let keys = 0;
  for (const entry of entries) {
    if (keys === keysMax) break;
    keys += 1;
    lines.push(encodeKey(entry));
    if (lines.length < KEYS_PER_CHUNK) continue;
    yield lines;
    lines = [];
  }
  if (lines.length > 0) yield lines;
}

function chunksOf(bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const begin = at + LENGTH_BYTES;
    if (begin > bytes.length) throw new SnapshotError('it is incomplete');
    at = begin + bytes.readUInt32BE(at);
    if (at > bytes.length) throw new SnapshotError('it is incomplete');
    chunks.push(bytes.subarray(begin, at));
  }
  return chunks;
}

function aad(id: Buffer, place: string): string {
  return `shunt-principals-1:${id.toString('hex')}:${place}`;
}
