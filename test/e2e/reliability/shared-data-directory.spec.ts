import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { endAll, freshDataDir } from './replica.js';

const PROCESSES = 6;
const ROUNDS = 3;
const CONFIG = new URL('../../../dist/src/config/app-config.js', import.meta.url);

/** Says when it is up, and reads the configuration when it is told to. */
const READER = `
  const { loadConfig } = await import(${JSON.stringify(CONFIG.href)});
  process.stdout.write('up\\n');
  process.stdin.once('data', () => {
    const { encryptionKeys, secrets } = loadConfig();
    process.stdout.write(JSON.stringify({ key: encryptionKeys.current.toString('hex'), ...secrets }));
    process.exit(0);
  });
`;

afterAll(() => endAll());

interface Reader {
  readonly up: Promise<void>;
  go(): void;
  readonly said: Promise<string>;
}

function startReader(dataDir: string): Reader {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', READER], {
    env: { PATH: process.env['PATH'], NODE_ENV: 'test', SHUNT_DATA_DIR: dataDir },
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 30_000,
  });
  let text = '';
  const up = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      resolve();
    });
  });
  const said = new Promise<string>((resolve) => {
    child.once('close', () => resolve(text.replace('up\n', '')));
  });
  return { up, said, go: () => void child.stdin.write('go\n') };
}

it('processes that start at once on one fresh data directory run with the same secrets', async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const dataDir = freshDataDir();
    const readers = Array.from({ length: PROCESSES }, () => startReader(dataDir));
    await Promise.all(readers.map((reader) => reader.up));
    for (const reader of readers) reader.go();
    const said = await Promise.all(readers.map((reader) => reader.said));
    expect(said[0]).toMatch(/^\{"key":"[0-9a-f]{64}"/);
    expect(new Set(said).size).toBe(1);
    expect(readdirSync(dataDir)).toEqual(['secrets.json']);
    expect(statSync(path.join(dataDir, 'secrets.json')).mode & 0o777).toBe(0o600);
  }
});
