import { createCipheriv, createDecipheriv } from 'node:crypto';
import { KEY_ID_BYTES, WRAPPED_KEY_BYTES, type DataKey, type SpoolKeys } from './spool-keys.js';

/*
 * A segment is a header and frames:
 *
 *   header  magic "SHUNTSP1" (8) | key id (8) | wrapped data key: nonce (12), key (32), tag (16)
 *   frame   mark (4) | length of what follows the frame's header (4, LE) | index (4, LE) | records (4, LE)
 *           | AES-256-GCM ciphertext | tag (16)
 *
 * The nonce of a frame is its index: a data key belongs to one file with one writer, which never uses an
 * index twice. The frame's header is authenticated with it. The plaintext is lines, one record each.
 */
const MAGIC = Buffer.from('SHUNTSP1', 'latin1');
const MARK = Buffer.from([0xa5, 0x53, 0x46, 0x5a]);
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const HEADER_BYTES = MAGIC.length + KEY_ID_BYTES + WRAPPED_KEY_BYTES;

export const FRAME_HEADER_BYTES = 16;
/** A length beyond this is damage, not a frame: a group is at most 1 Mi characters and one record, of 3 bytes each. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

export function createHeader(keys: SpoolKeys): {
  readonly header: Buffer;
  readonly dataKey: DataKey;
} {
  const dataKey = keys.create(MAGIC);
  return { header: Buffer.concat([MAGIC, dataKey.keyId, dataKey.wrapped]), dataKey };
}

/** One frame, ready to be written. `index` must never be used twice with one key. */
export function encodeFrame(key: Buffer, index: number, records: number, text: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index));
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  MARK.copy(header);
  header.writeUInt32LE(Buffer.byteLength(text) + TAG_BYTES, 4);
  header.writeUInt32LE(index, 8);
  header.writeUInt32LE(records, 12);
  cipher.setAAD(header);
  const sealed = cipher.update(text, 'utf8');
  cipher.final();
  return Buffer.concat([header, sealed, cipher.getAuthTag()]);
}

export interface DecodedSegment {
  /** Null: no known key opens it, or it is no segment at all. */
  readonly lines: readonly string[] | null;
  /** The end of the file is missing, as a crash or a full disk leaves it. */
  readonly torn: number;
  /** Damage before the end: skipped up to the next frame that can be read. */
  readonly corrupt: number;
}

/** Reads what can be read of a segment, in the order in which it was written. */
export function decodeSegment(bytes: Buffer, keys: SpoolKeys): DecodedSegment {
  // Killed between creating the file and writing its header: there was never a record in it.
  if (bytes.length < HEADER_BYTES)
    return { lines: [], torn: bytes.length === 0 ? 0 : 1, corrupt: 0 };
  const key = openHeader(bytes, keys);
  if (key === null) return { lines: null, torn: 0, corrupt: 0 };
  const lines: string[] = [];
  let corrupt = 0;
  let at = HEADER_BYTES;
  while (at < bytes.length) {
    const frame = readFrame(bytes, at, key);
    if (frame !== null) {
      for (const line of frame.text.split('\n')) if (line !== '') lines.push(line);
      at = frame.end;
      continue;
    }
    const next = nextReadable(bytes, at + 1, key);
    if (next === null) return { lines, ...endDamage(bytes, at, corrupt) };
    corrupt += 1;
    at = next;
  }
  return { lines, torn: 0, corrupt };
}

function openHeader(bytes: Buffer, keys: SpoolKeys): Buffer | null {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const wrappedAt = MAGIC.length + KEY_ID_BYTES;
  return keys.open(
    MAGIC,
    bytes.subarray(MAGIC.length, wrappedAt),
    bytes.subarray(wrappedAt, HEADER_BYTES),
  );
}

interface Frame {
  readonly text: string;
  readonly end: number;
}

/** Null where no intact frame starts at `at`. */
function readFrame(bytes: Buffer, at: number, key: Buffer): Frame | null {
  const bodyAt = at + FRAME_HEADER_BYTES;
  if (bodyAt > bytes.length || !bytes.subarray(at, at + MARK.length).equals(MARK)) return null;
  const length = bytes.readUInt32LE(at + 4);
  const end = bodyAt + length;
  if (length < TAG_BYTES || length > MAX_FRAME_BYTES || end > bytes.length) return null;
  const nonce = nonceOf(bytes.readUInt32LE(at + 8));
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bytes.subarray(at, bodyAt));
  decipher.setAuthTag(bytes.subarray(end - TAG_BYTES, end));
  const plain = decipher.update(bytes.subarray(bodyAt, end - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    // Not what was written: the caller looks for the next frame.
    return null;
  }
  return { text: plain.toString('utf8'), end };
}

/** Where the next intact frame starts. The mark can occur by chance in ciphertext; the tag decides. */
function nextReadable(bytes: Buffer, from: number, key: Buffer): number | null {
  let at = bytes.indexOf(MARK, from);
  while (at !== -1) {
    if (readFrame(bytes, at, key) !== null) return at;
    at = bytes.indexOf(MARK, at + 1);
  }
  return null;
}

/** Damage with nothing readable behind it: torn if the frame runs past the end of the file, else corrupt. */
function endDamage(bytes: Buffer, at: number, corrupt: number): { torn: number; corrupt: number } {
  const bodyAt = at + FRAME_HEADER_BYTES;
  const startsWell = bytes
    .subarray(at, at + MARK.length)
    .equals(MARK.subarray(0, bytes.length - at));
  const runsPast = bodyAt > bytes.length || bodyAt + bytes.readUInt32LE(at + 4) > bytes.length;
  return startsWell && runsPast ? { torn: 1, corrupt } : { torn: 0, corrupt: corrupt + 1 };
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32LE(index, 0);
  return nonce;
}
