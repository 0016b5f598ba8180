import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatherPrompts } from './prompts.js';
import { StepFailed } from './screen.js';

const GOOD = '{"prompt":"a"}\n{"prompt":"b"}\n';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'demo-prompts-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, content: string | Buffer): string {
  const at = path.join(directory, name);
  writeFileSync(at, content);
  return at;
}

test('takes the prompts of a file in turn, packed or not, and passes over lines that are none', async () => {
  for (const at of [file('a.jsonl', `nonsense\n${GOOD}`), file('a.jsonl.gz', gzipSync(GOOD))]) {
    const prompts = await gatherPrompts(at);
    expect([prompts.count, prompts.next(), prompts.next(), prompts.next()]).toEqual([
      2,
      'a',
      'b',
      'a',
    ]);
  }
});

test.each<[string, string, string | Buffer | null, string]>([
  ['is not there', 'none.jsonl', null, 'there is no such file'],
  ['is not gzip', 'bad.gz', 'not packed', 'it is not gzip, or was cut off'],
  ['was cut off', 'cut.gz', gzipSync(GOOD).subarray(0, 20), 'it is not gzip, or was cut off'],
  ['is empty', 'empty.jsonl', '', 'it is empty'],
  ['is empty and packed', 'empty.gz', gzipSync(''), 'it is empty'],
  ['has no byte of gzip', 'nothing.gz', '', 'it is'],
  ['is not JSON by the line', 'array.json', '[\n{"prompt":"a"},\n]', 'line 1: not JSON'],
  ['is packed without saying so', 'packed.jsonl', gzipSync(GOOD), 'line 1: not JSON'],
  ['has no prompts', 'other.jsonl', '\n{"question":"a"}\n', 'line 2: no "prompt" text'],
  [
    'has prompts that are too long alone',
    'long.jsonl',
    JSON.stringify({ prompt: 'a'.repeat(20_001) }),
    'line 1: a prompt of more than 20000 characters',
  ],
])(
  'says in one line what is wrong with a file that %s, and what a good one is',
  async (_what, name, content, reason) => {
    const at = content === null ? path.join(directory, name) : file(name, content);
    const error: unknown = await gatherPrompts(at).catch((thrown: unknown) => thrown);
    // Of any other error the demo shows the stack.
    expect(error).toBeInstanceOf(StepFailed);
    const { message } = error as StepFailed;
    expect(message).toContain(`${at} cannot be read: ${reason}`);
    expect(message).toContain('one JSON object a line with a "prompt" text');
    expect(message).not.toContain('\n');
  },
);

test('says the same of a directory', async () => {
  await expect(gatherPrompts(directory)).rejects.toThrow(/is not a file\. A file of prompts has/);
});
