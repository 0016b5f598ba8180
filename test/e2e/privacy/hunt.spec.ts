import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHeader, encodeFrame } from '../../../src/modules/records/spool/segment-format.js';
import { SpoolKeys } from '../../../src/modules/records/spool/spool-keys.js';
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres,
} from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import {
  huntFiles,
  huntTables,
  LeakHunt,
  randomUnit,
  type Needle,
} from '../../support/leak-hunt.js';

// A search that finds nothing proves something only where it would have found what is there.

const unit = randomUnit();
const canary: Needle = { name: 'canary', text: unit, repeated: true };
const key: Needle = { name: 'key', text: 'sk-"+/=\\ö'.slice(0, 8) + randomUnit().repeat(3) };
const encryptionKeys = { current: randomBytes(32), previous: null };

let dataDir: string;
let postgres: EmbeddedPostgres;

beforeAll(async () => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-e2e-'));
  // Passable for the user that the server drops to when the tests run as root.
  chmodSync(dataDir, 0o711);
  const dir = path.join(dataDir, 'postgres');
  postgres = await startEmbeddedPostgres({ dir, logger: createLogger('silent'), durable: false });
});
afterAll(async () => {
  await postgres?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

test.each([
  ['as it stands', (text: string) => `said ${text}, and more`],
  ['in hexadecimal', (text: string) => Buffer.from(text).toString('hex')],
  [
    'in hexadecimal, in capitals',
    (text: string) => Buffer.from(text).toString('hex').toUpperCase(),
  ],
  ['in base64', base64],
  ['in base64, a byte later', (text: string) => base64(`a${text}b`)],
  ['in base64, two bytes later', (text: string) => base64(`ab${text}c`)],
  ['in base64 for URLs', (text: string) => Buffer.from(`x${text}`).toString('base64url')],
  ['in JSON', (text: string) => JSON.stringify({ message: text })],
  ['in JSON in JSON', (text: string) => JSON.stringify(JSON.stringify({ message: text }))],
  ['in a URL', (text: string) => `/path?q=${encodeURIComponent(text)}&x`],
  ['in UTF-16', (text: string) => Buffer.from(text, 'utf16le')],
  ['with its beginning cut off', (text: string) => text.slice(5)],
  ['with its end cut off', (text: string) => text.slice(0, -5)],
] as const)('a canary and a key are found %s', (_form, write) => {
  for (const [needle, text] of [
    [canary, unit.repeat(4)],
    [key, key.text],
  ] as const) {
    const hunt = new LeakHunt([{ name: 'another', text: randomUnit(), repeated: true }, needle]);
    hunt.bytes('memory', Buffer.from(write(text)));
    expect(hunt.hits.map((hit) => hit.needle)).toContain(needle.name);
  }
});

test('what was not planted is not found', () => {
  const hunt = new LeakHunt([canary, key]);
  hunt.bytes('noise', randomBytes(4_000_000));
  hunt.text('noise', randomBytes(1_000_000).toString('base64'));
  expect(hunt.hits).toEqual([]);
});

test('a canary is found in the text, the JSON, the bytes and the statistics of a table of any schema', async () => {
  const { superuserUrl } = embeddedLogins(dataDir);
  const encoded = base64(`x${unit.repeat(3)}`);
  await withConnection({ url: superuserUrl, statementTimeoutMs: 10_000 }, async (q) => {
    await q.query('CREATE SCHEMA elsewhere');
    await q.query('CREATE TABLE elsewhere.notes (t text, j jsonb, b bytea, a text[])');
    await q.query('ALTER TABLE elsewhere.notes ENABLE ROW LEVEL SECURITY');
    await q.query('ALTER TABLE elsewhere.notes FORCE ROW LEVEL SECURITY');
    await q.query('INSERT INTO elsewhere.notes (t) VALUES ($1)', [`the ${unit}`]);
    await q.query('INSERT INTO elsewhere.notes (j) VALUES ($1)', [JSON.stringify({ [unit]: 1 })]);
    await q.query('INSERT INTO elsewhere.notes (b) VALUES ($1)', [Buffer.from(encoded)]);
    await q.query('INSERT INTO elsewhere.notes (a) VALUES ($1)', [['"', unit]]);
    await q.query('ANALYZE elsewhere.notes');
  });
  const hunt = new LeakHunt([canary]);
  const rows = await huntTables(hunt, superuserUrl);
  expect(rows.get('elsewhere.notes')).toBe(4);
  const places = hunt.hits.map(({ place }) => place);
  expect(places.filter((place) => place === 'table elsewhere.notes').length).toBeGreaterThan(2);
  expect(places).toContain('table elsewhere.notes, binary');
  expect(places).toContain('table pg_statistic');
});

test('tables are not searched as somebody whom row security binds', async () => {
  const { ownerUrl } = embeddedLogins(dataDir);
  await expect(huntTables(new LeakHunt([canary]), ownerUrl)).rejects.toThrow(/no superuser/);
});

test("a canary is found in a file, in a file's name and in what a spool file encrypts", () => {
  const spool = path.join(dataDir, 'spool');
  mkdirSync(spool);
  const { header, dataKey } = createHeader(new SpoolKeys(encryptionKeys));
  const frame = encodeFrame(dataKey.key, 0, 1, `s{"tags":["${unit}"]}\n`);
  writeFileSync(path.join(spool, '1.seg'), Buffer.concat([header, frame]));
  writeFileSync(path.join(dataDir, 'plain'), `x${base64(`y${unit.repeat(2)}`)}`);
  writeFileSync(path.join(dataDir, `named-${unit}`), '');
  const hunt = new LeakHunt([canary]);
  const { spoolLines } = huntFiles(hunt, [dataDir], encryptionKeys);
  expect(spoolLines).toHaveLength(1);
  const places = hunt.hits.map(({ place }) => path.basename(place));
  expect(places).toEqual(
    expect.arrayContaining(['1.seg, decrypted', 'plain', 'the name of a file']),
  );
  expect(places).not.toContain('1.seg');
});

test('a spool file that cannot be decrypted is not passed over', () => {
  const other = { current: randomBytes(32), previous: null };
  const hunt = new LeakHunt([canary]);
  expect(() => huntFiles(hunt, [path.join(dataDir, 'spool')], other)).toThrow(
    /cannot be decrypted/,
  );
});
