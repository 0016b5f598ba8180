import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { decodeSegment } from '../../src/modules/records/spool/segment-format.js';
import { SpoolKeys } from '../../src/modules/records/spool/spool-keys.js';
import type { EncryptionKeys } from '../../src/platform/crypto/secret-box.js';
import { withConnection } from '../../src/platform/postgres/single-connection.js';

/** A text that must be nowhere, and whose it is. */
export interface Needle {
  readonly name: string;
  /** ASCII. */
  readonly text: string;
  /** It was planted over and over without a gap, so that a cut piece of it shows too. */
  readonly repeated?: boolean;
}

export interface Hit {
  readonly needle: string;
  readonly form: string;
  readonly place: string;
  readonly around: string;
}

interface Pattern {
  readonly needle: Needle;
  readonly form: string;
  readonly bytes: Buffer;
}

const WINDOW_CHARS = 12;
const WINDOW_STRIDE = 6;
const HITS_MAX = 40;
const AROUND_BYTES = 48;
const STATEMENT_TIMEOUT_MS = 60_000;

/** A text that nobody else writes: 8 random letters and digits. */
export function randomUnit(): string {
  return randomBytes(16).toString('base64url').replace(/[-_]/g, '').toLowerCase().slice(0, 8);
}

/** Searches for needles as they stand, in hexadecimal, base64 (however aligned), JSON, URLs and UTF-16. */
export class LeakHunt {
  readonly hits: Hit[] = [];
  /** How much was searched: a hunt that looked at nothing proves nothing. */
  bytesSearched = 0;
  /** By their first two bytes, so that one pass finds any of them. */
  private readonly patterns: (Pattern[] | undefined)[] = Array.from({ length: 65_536 });

  constructor(needles: readonly Needle[]) {
    for (const pattern of needles.flatMap(patternsOf)) {
      const prefix = pattern.bytes.readUInt16BE(0);
      (this.patterns[prefix] ??= []).push(pattern);
    }
  }

  text(place: string, text: string): void {
    this.bytes(place, Buffer.from(text));
  }

  bytes(place: string, bytes: Buffer): void {
    this.bytesSearched += bytes.length;
    for (let at = 0; at + 1 < bytes.length; at++) {
      const candidates = this.patterns[(bytes[at]! << 8) | bytes[at + 1]!];
      if (candidates === undefined) continue;
      for (const pattern of candidates) {
        const end = at + pattern.bytes.length;
        if (end > bytes.length) continue;
        if (bytes.compare(pattern.bytes, 0, pattern.bytes.length, at, end) !== 0) continue;
        this.found(pattern, place, bytes, at);
      }
    }
  }

  private found({ needle, form }: Pattern, place: string, bytes: Buffer, at: number): void {
    if (this.hits.length >= HITS_MAX) return;
    const around = bytes.toString('latin1', Math.max(0, at - AROUND_BYTES), at + AROUND_BYTES);
    this.hits.push({ needle: needle.name, form, place, around });
  }
}

function patternsOf(needle: Needle): Pattern[] {
  const patterns = new Map<string, Pattern>();
  const add = (form: string, text: string, encoding: BufferEncoding = 'utf8'): void => {
    const bytes = Buffer.from(text, encoding);
    const known = bytes.toString('hex');
    if (!patterns.has(known)) patterns.set(known, { needle, form, bytes });
  };
  for (const window of windowsOf(needle)) {
    add('as it stands', window);
    add('in hexadecimal', Buffer.from(window).toString('hex'));
    add('in hexadecimal', Buffer.from(window).toString('hex').toUpperCase());
    add('in JSON', JSON.stringify(window).slice(1, -1));
    add('in a URL', encodeURIComponent(window));
    add('in UTF-16', window, 'utf16le');
    for (const offset of [0, 1, 2]) {
      const inner = base64At(window, offset);
      add('in base64', inner);
      add('in base64url', inner.replaceAll('+', '-').replaceAll('/', '_'));
    }
  }
  return [...patterns.values()];
}

/** Pieces of a needle, close enough together that a longer piece of it contains one of them whole. */
function windowsOf({ text, repeated }: Needle): string[] {
  if (repeated) {
    return Array.from(text, (_, at) => text.slice(at) + text.slice(0, at));
  }
  const last = Math.max(0, text.length - WINDOW_CHARS);
  const starts = [];
  for (let at = 0; at < last; at += WINDOW_STRIDE) starts.push(at);
  return [...starts, last].map((at) => text.slice(at, at + WINDOW_CHARS));
}

/** The characters of a base64 text that depend on `window` alone, where it begins `offset` bytes after a group. */
function base64At(window: string, offset: number): string {
  const encoded = Buffer.from(`${'x'.repeat(offset)}${window}`).toString('base64');
  const from = Math.ceil((offset * 4) / 3);
  const to = Math.floor(((offset + window.length) * 4) / 3);
  return encoded.slice(from, to);
}

/** Every row of every table, the catalogue's too, as a superuser, whom row security does not bind. Rows per table. */
export async function huntTables(
  hunt: LeakHunt,
  superuserUrl: string,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const options = { url: superuserUrl, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  await withConnection(options, async (q) => {
    const [self] = await q.query<{ mighty: boolean; objects: number }>(
      `SELECT rolsuper AS mighty, (SELECT count(*) FROM pg_largeobject_metadata)::int AS objects
         FROM pg_roles WHERE rolname = current_user`,
    );
    if (!self?.mighty || self.objects > 0) throw new Error('no superuser, or large objects');
    const tables = await q.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (c.relkind IN ('r', 'm') AND n.nspname <> 'pg_toast')
           OR c.oid = 'pg_stat_activity'::regclass
        ORDER BY 1`,
    );
    for (const { name } of tables) {
      // An alias that is the name of no column, which would be taken for the whole row.
      const rows = await q.query<{ row: string }>(
        `SELECT "the row"::text AS row FROM ${name} AS "the row"`,
      );
      counts.set(name, rows.length);
      const text = rows.map(({ row }) => row).join('\n');
      hunt.text(`table ${name}`, text);
      for (const [, hex] of text.matchAll(/\\+x((?:[0-9a-f]{2})+)/g)) {
        hunt.bytes(`table ${name}, binary`, Buffer.from(hex!, 'hex'));
      }
    }
  });
  return counts;
}

export interface FilesHunted {
  readonly files: readonly string[];
  /** What the spool and the dead-letter files hold, decrypted. */
  readonly spoolLines: readonly string[];
}

/** Every file below these directories as it lies there, and what is encrypted also in the clear. */
export function huntFiles(
  hunt: LeakHunt,
  roots: readonly string[],
  encryptionKeys: EncryptionKeys,
): FilesHunted {
  const keys = new SpoolKeys(encryptionKeys);
  const files = roots.flatMap((root) => [...filesBelow(root)]);
  const spoolLines: string[] = [];
  for (const file of files) {
    hunt.text('the name of a file', file);
    const bytes = readIfThere(file);
    if (bytes === null) continue;
    hunt.bytes(file, bytes);
    if (!file.endsWith('.seg')) continue;
    const { lines } = decodeSegment(bytes, keys);
    if (lines === null) throw new Error(`${file} cannot be decrypted`);
    hunt.text(`${file}, decrypted`, lines.join('\n'));
    spoolLines.push(...lines);
  }
  return { files, spoolLines };
}

function* filesBelow(root: string): Generator<string> {
  for (const entry of readdirIfThere(root)) {
    const file = path.join(root, entry);
    const found = lstatSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory()) yield* filesBelow(file);
    else if (found?.isFile()) yield file;
  }
}

// A running server makes and removes files meanwhile.
function readdirIfThere(directory: string): string[] {
  return unlessGone(() => readdirSync(directory)) ?? [];
}

function readIfThere(file: string): Buffer | null {
  return unlessGone(() => readFileSync(file));
}

function unlessGone<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
