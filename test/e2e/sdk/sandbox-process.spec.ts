import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readStats } from '../../support/sandbox.js';

const ENTRY = fileURLToPath(new URL('../../../dist/src/sandbox/main.js', import.meta.url));

function start(env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [ENTRY], {
    env: { ...process.env, NODE_ENV: 'test', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function textUntil(child: ChildProcess, end: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (end.test(text)) return text;
  }
  return text;
}

test('the sandbox process prints a base URL for each provider and ends at once on SIGTERM', async () => {
  const child = start({ PORT: '0' });
  const text = await textUntil(child, /GROQ_BASE_URL=\S+\n/);
  const origin = /OPENAI_BASE_URL=(http:\/\/127\.0\.0\.1:\d+)\/openai\/v1/.exec(text)?.[1] ?? '';
  expect(await readStats(origin)).toMatchObject({ sandbox: true, requests: 0 });
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('the sandbox process refuses to run in production', async () => {
  const child = start({ PORT: '0', NODE_ENV: 'production' });
  expect(await once(child, 'exit')).toEqual([1, null]);
});
