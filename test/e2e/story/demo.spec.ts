import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../reliability/until.js';

const DEMO = path.resolve(import.meta.dirname, '../../../dist/scripts/demo.js');
const DEMO_MS_MAX = 150_000;
const STOPPED_MS_MAX = 30_000;

/** What a name in the environment must not change: the demo takes nothing from there. */
const TEMPTING = {
  OPENAI_BASE_URL: 'https://api.openai.com/v1',
  OPENAI_API_KEY: 'sk-real',
  DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing',
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'shunt-story-'));
  // Passable for the user that Postgres drops to when this runs as root.
  chmodSync(directory, 0o755);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Demo {
  readonly process: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  said(): string;
}

function start(...args: string[]): Demo {
  const child = spawn(process.execPath, [DEMO, ...args], {
    env: { ...process.env, ...TEMPTING, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { process: child, ended, said: () => stdout + stderr };
}

/** Of any process that has to do with the directory; null where the system does not tell. */
function processesLeft(): readonly string[] | null {
  if (process.platform !== 'linux') return null;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return line.includes(directory) ? [line] : [];
      } catch {
        return [];
      }
    });
}

test(
  'the demo shows every step of the story, marked as synthetic, and leaves nothing behind',
  { timeout: DEMO_MS_MAX },
  async () => {
    const { code, stdout, stderr } = await start('--calls', '200', '--json').ended;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const told = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
    expect(told).toMatchObject({
      synthetic: true,
      ok: true,
      observed: { calls: 100, records: 100 },
      observation: { status: 'observation_ended' },
      activation: { status: 'active' },
      faults: { reached_while_open: 0 },
      kill_switch: { status: 'observing', hold: true },
      proof: { verdict: { holds: true, first_difference: null }, trail: { broken: null } },
    });
    expect(told['kill_switch']!['last_routed_after_ms']).toBeLessThan(1_000);
    expect(readdirSync(directory)).toEqual([]);
    expect(processesLeft() ?? []).toEqual([]);
  },
);

test(
  'the demo stops in the middle when it is asked to, and leaves nothing behind',
  { timeout: DEMO_MS_MAX },
  async () => {
    const demo = start('--calls', '200');
    await until('it is under way', DEMO_MS_MAX, () => demo.said().includes('== 2.'));
    expect(readdirSync(directory)).not.toEqual([]);
    demo.process.kill('SIGINT');
    const waited = until('it has ended', STOPPED_MS_MAX, () => demo.process.exitCode !== null);
    const [{ code }] = await Promise.all([demo.ended, waited]);
    expect(code).toBe(130);
    expect(readdirSync(directory)).toEqual([]);
    expect(processesLeft() ?? []).toEqual([]);
  },
);

test('a prompt file that is not there ends it before anything is started', async () => {
  const { code, stderr } = await start('--file', path.join(directory, 'none.jsonl')).ended;
  expect(code).toBe(1);
  expect(stderr).toContain('cannot be read');
  expect(readdirSync(directory)).toEqual([]);
});
