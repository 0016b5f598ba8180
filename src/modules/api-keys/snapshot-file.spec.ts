import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SecretBox, SecretBoxError } from '../../platform/crypto/secret-box.js';
import type { PrincipalRow } from './principal-row.js';
import type { KeyOnDisk } from './principal-snapshot.js';
import { SnapshotError, SnapshotFile } from './snapshot-file.js';

const secretBox = new SecretBox({ current: randomBytes(32), previous: null });
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-snapshot-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const sealed = randomBytes(77).toString('base64');

function rowOf(n: number): PrincipalRow {
  const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
  return {
    version: String(n),
    api_key_id: id,
    org_id: id,
    project_id: id,
    expires_at: n % 3 === 0 ? new Date(1_790_000_000_000 + n) : null,
    revoked_at: n % 5 === 0 ? new Date(1_790_000_000_000) : null,
    status: 'observing',
    routing_hold: false,
    retention_class: 'd90',
    requests_per_minute: 600,
    org_providers: ['openai', 'anthropic'],
    org_models: null,
    is_first: false,
    hash_key_sealed: Buffer.from(sealed, 'base64'),
    project_disabled: false,
    strict: false,
    default_model: 'gpt-5.4',
    body_limit_bytes: null,
    project_providers: null,
    project_models: ['gpt-*'],
    allowed_paths: ['openai:/files*'],
    provider_keys: [
      { id, provider: 'openai', sealed },
      { id, provider: 'anthropic', sealed },
    ],
    control_share_bp: 200,
    cross_provider_opt_in: ['groq'],
    fallback_models: [{ provider: 'openai', model: 'gpt-6-luna' }],
    routing_opt_out: false,
    route_rules: [
      { id: 'r', route_class: '*', targets: [{ provider: 'openai', model: 'gpt-6-luna' }] },
    ],
    negotiated_prices: [],
  };
}

function* keys(count: number): Generator<KeyOnDisk> {
  for (let n = 0; n < count; n += 1) {
    yield { digest: `digest-${n}`, row: rowOf(n), standing: null };
  }
}

const file = (box = secretBox): SnapshotFile => new SnapshotFile(dataDir, box);
const pathOf = (): string => path.join(dataDir, 'principals.snapshot');

test('what is written is read again, in its order, with the live status', async () => {
  const standing = { orgId: 'o', version: 9, status: 'suspended', hold: true } as const;
  const all = [...keys(120), { digest: 'live', row: rowOf(7), standing }];
  expect(await file().write(all, 1_000, 42)).toBe(121);
  const snapshot = await file().read();
  expect(snapshot).toMatchObject({ confirmedAtMs: 42, keys: 121 });
  const read = [...snapshot!.entries()];
  expect(read.slice(0, -1)).toEqual(all.slice(0, -1));
  expect(read.at(-1)?.row).toEqual({ ...rowOf(7), status: 'suspended', routing_hold: true });
  expect(statSync(pathOf()).mode & 0o777).toBe(0o600);
  expect(readdirSync(dataDir)).toEqual(['principals.snapshot']);
});

test('nothing in it can be read without the key, and it is bounded', async () => {
  expect(await file().write(keys(300), 120, 42)).toBe(120);
  const bytes = readFileSync(pathOf());
  for (const trace of ['digest-1', '00000000-0000', 'gpt-5.4', 'openai', sealed]) {
    expect(bytes.includes(trace)).toBe(false);
  }
  const other = new SecretBox({ current: randomBytes(32), previous: null });
  await expect(file(other).read()).rejects.toBeInstanceOf(SecretBoxError);
  expect(await new SnapshotFile(path.join(dataDir, 'none'), secretBox).read()).toBeNull();
});

test('a file that was cut, altered or put together from two is not used', async () => {
  await file().write(keys(200), 1_000, 42);
  const bytes = readFileSync(pathOf());
  const wrong = async (altered: Buffer): Promise<void> => {
    writeFileSync(pathOf(), altered);
    const reading = file()
      .read()
      .then((snapshot) => [...(snapshot?.entries() ?? [])]);
    const error: unknown = await reading.catch((thrown: unknown) => thrown);
    expect(error instanceof SecretBoxError || error instanceof SnapshotError).toBe(true);
  };
  await wrong(bytes.subarray(0, bytes.length - 10));
  const lastChunk = bytes.length - 4 - bytes.readUInt32BE(lastLengthAt(bytes));
  await wrong(bytes.subarray(0, lastChunk));
  await wrong(Buffer.from('something else'));
  const flipped = Buffer.from(bytes);
  flipped[200]! ^= 1;
  await wrong(flipped);
  await file().write(keys(200), 1_000, 43);
  const second = readFileSync(pathOf());
  await wrong(
    Buffer.concat([bytes.subarray(0, lastLengthAt(bytes)), second.subarray(lastLengthAt(second))]),
  );
});

function lastLengthAt(bytes: Buffer): number {
  let at = 'shunt-principals-2\n'.length + 16;
  for (;;) {
    const next = at + 4 + bytes.readUInt32BE(at);
    if (next >= bytes.length) return at;
    at = next;
  }
}

test('50,000 keys are written without holding up calls', async ({ annotate }) => {
  const all = [...keys(50_000)];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  let turns = 0;
  let writing = true;
  const others = (): void => {
    turns += 1;
    if (writing) setImmediate(others);
  };
  others();
  const beganAt = performance.now();
  await file().write(all, 50_000, 42);
  const tookMs = performance.now() - beganAt;
  writing = false;
  delay.disable();
  const megabytes = statSync(pathOf()).size / 1e6;
  await annotate(
    `50,000 keys, ${megabytes.toFixed(0)} MB: ${tookMs.toFixed(0)} ms; event loop p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, max ${(delay.max / 1e6).toFixed(1)} ms`,
  );
  expect(turns).toBeGreaterThanOrEqual(50_000 / 50);
});
