import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { startGateway } from '../../support/gateway.js';
import { awaitTrace, startTestSandbox } from '../../support/sandbox.js';

const ENTRY = fileURLToPath(new URL('../../../dist/scripts/replay.js', import.meta.url));

let sandbox: Sandbox;
let directory: string;
let prompts: string;
/** Answers as a gateway before a real provider does: nothing says sandbox. Counts what would cost money. */
let real: Server;
let callsToReal = 0;
/** Knows no key. */
let refusing: Server;

beforeAll(async () => {
  sandbox = await startTestSandbox();
  directory = mkdtempSync(path.join(tmpdir(), 'replay-e2e-'));
  prompts = path.join(directory, 'prompts.jsonl.gz');
  const rows = Array.from({ length: 40 }, (_, at) => JSON.stringify({ prompt: `Prompt ${at}` }));
  writeFileSync(prompts, gzipSync(`${rows.join('\n')}\nnonsense\n`));
  real = createServer((request, response) => {
    if (request.method === 'POST') callsToReal += 1;
    response.end('{}');
  }).listen(0, '127.0.0.1');
  await once(real, 'listening');
  refusing = createServer((_request, response) => {
    response.writeHead(401).end('{}');
  }).listen(0, '127.0.0.1');
  await once(refusing, 'listening');
});
afterAll(async () => {
  await sandbox.close();
  real.close();
  refusing.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Run {
  readonly code: unknown;
  readonly out: string;
  readonly err: string;
}

async function replay(
  args: readonly string[],
  during?: (kill: (signal: NodeJS.Signals) => void) => Promise<void>,
): Promise<Run> {
  const child = spawn(process.execPath, [ENTRY, '--key', 'shunt_any', ...args]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  const closed = once(child, 'close');
  await during?.((signal) => child.kill(signal));
  const [code] = (await closed) as [unknown];
  return { code, out, err };
}

const originOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

test.each(['openai', 'anthropic', 'google', 'groq'])(
  'prompts are sent once each over %s, whole and streamed, and accounted for',
  async (api) => {
    const args = ['--url', sandbox.origin, '--file', prompts, '--api', api];
    sandbox.resetStats();
    const { code, out } = await replay([...args, '--rate', '200', '--stream', '0.5', '--json']);
    expect(JSON.parse(out)).toMatchObject({
      upstream: 'sandbox',
      calls: 40,
      succeeded: 40,
      malformedLines: 1,
      malformed: [{ line: 41, reason: 'not JSON' }],
      callsWithoutUsage: 0,
    });
    const sent = Object.entries(sandbox.stats().requestsByRoute);
    const calls = sent.filter(([route]) => !route.endsWith('/models'));
    expect(calls.reduce((sum, [, count]) => sum + count, 0)).toBe(40);
    expect(code).toBe(0);
  },
);

test('a gateway in sandbox mode is known as one: nothing has to be spent', async () => {
  const gateway = await startGateway();
  try {
    const args = ['--url', gateway.origin, '--key', gateway.projectKey, '--file', prompts];
    const { code, out } = await replay([...args, '--rate', '100', '--stream', '0.5', '--json']);
    expect(JSON.parse(out)).toMatchObject({ upstream: 'sandbox', succeeded: 40, spentUsd: null });
    expect(code).toBe(0);
    expect(await gateway.records()).toHaveLength(41);
  } finally {
    await gateway.stop();
  }
});

test('a real upstream is refused without --spend, before any call', async () => {
  const { code, err } = await replay(['--url', originOf(real), '--file', prompts]);
  expect(err).toContain('--spend');
  expect(code).toBe(2);
  expect(callsToReal).toBe(0);
});

test('with --spend it ends before the amount can be passed', async () => {
  const args = ['--url', originOf(real), '--file', prompts, '--rate', '500', '--json'];
  const { out, err } = await replay([...args, '--spend', '0.05']);
  expect(err).toContain('spend limit');
  // An answer without usage counts as the most that it could have cost: 512 tokens at 15 USD a million.
  expect((JSON.parse(out) as { spentUsd: number }).spentUsd).toBeLessThanOrEqual(0.05);
  expect(callsToReal).toBeGreaterThan(0);
  expect(callsToReal).toBeLessThan(40);
});

test('an interruption ends the run with the summary so far', async () => {
  const args = ['--url', sandbox.origin, '--file', prompts, '--rate', '2'];
  sandbox.resetStats();
  const { out } = await replay(args, async (kill) => {
    await awaitTrace(sandbox.origin, (trace) => trace.finished && trace.method === 'POST');
    kill('SIGINT');
  });
  expect(out).toMatch(/calls\s+[1-9]/);
});

test('a key that the gateway does not know is said to be so', async () => {
  const { code, err } = await replay(['--url', originOf(refusing), '--file', prompts]);
  expect(err).toContain('key');
  expect(code).toBe(2);
});

test('a gateway that does not run is said to be missing', async () => {
  const { code, err } = await replay(['--url', 'http://127.0.0.1:1', '--file', prompts]);
  expect(err).toContain('http://127.0.0.1:1');
  expect(code).toBe(2);
});
