import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../../platform/telemetry/logger.js';
import { LocalKill } from './local-kill.js';
import { LocalKillWatch } from './local-kill-watch.js';

const ORDER = { by: 'ada', reason: 'answers look wrong' };
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-local-kill-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

test('it stands until it is released, says who and why, and is readable for nobody else', () => {
  const kill = new LocalKill(dataDir, { nowMs: () => 1_790_000_000_000 });
  expect(kill.state()).toEqual({ engaged: false, last: null });
  kill.engage(ORDER);
  expect(new LocalKill(dataDir).state()).toMatchObject({
    engaged: true,
    last: { kind: 'engaged', ...ORDER, atMs: 1_790_000_000_000 },
  });
  const [file] = kill.files();
  expect(statSync(path.join(kill.directory, file!)).mode & 0o777).toBe(0o600);
  kill.release({ by: 'bob', reason: 'all is well' });
  expect(kill.state()).toMatchObject({ engaged: false, last: { kind: 'released', by: 'bob' } });
  expect(readdirSync(kill.directory).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('a running process follows it, and one that starts later knows it at once', async () => {
  const kill = new LocalKill(dataDir);
  const watch = new LocalKillWatch(kill, createLogger('silent'));
  await watch.look();
  expect(watch.engaged).toBe(false);
  kill.engage(ORDER);
  await watch.look();
  expect(watch.engaged).toBe(true);
  expect(new LocalKillWatch(kill, createLogger('silent')).engaged).toBe(true);
  kill.release(ORDER);
  await watch.look();
  expect(watch.engaged).toBe(false);
});

test('an act that cannot be read switches routing off rather than on', async () => {
  const kill = new LocalKill(dataDir);
  const watch = new LocalKillWatch(kill, createLogger('silent'));
  mkdirSync(kill.directory, { recursive: true });
  writeFileSync(path.join(kill.directory, '000000000001.json'), 'no json');
  await watch.look();
  expect(watch.engaged).toBe(true);
  expect(kill.unaudited()).toEqual([]);
  kill.release(ORDER);
  await watch.look();
  expect(watch.engaged).toBe(false);
});

test('a directory that cannot be read switches routing off rather than on', async () => {
  const kill = new LocalKill(dataDir);
  const watch = new LocalKillWatch(kill, createLogger('silent'));
  writeFileSync(kill.directory, 'not a directory');
  await watch.look();
  expect(watch.engaged).toBe(true);
  expect(new LocalKillWatch(kill, createLogger('silent')).engaged).toBe(true);
  rmSync(kill.directory);
  await watch.look();
  expect(watch.engaged).toBe(false);
});

test('audited acts are cleared away, but for the latest, which is the state', () => {
  const kill = new LocalKill(dataDir);
  kill.engage(ORDER);
  kill.release(ORDER);
  kill.engage(ORDER);
  for (const { file } of kill.unaudited()) kill.markAudited(file);
  expect(kill.unaudited()).toEqual([]);
  expect(kill.files()).toEqual(['000000000003.json']);
  expect(kill.state().engaged).toBe(true);
});
