import { expect, test } from 'vitest';
import { parseDemo } from './options.js';

test('without options it makes up prompts and makes a few hundred calls', () => {
  expect(parseDemo([])).toEqual({ kind: 'options', file: null, calls: 600, json: false });
});

test('takes a file, a number of calls and --json', () => {
  expect(parseDemo(['--file', 'a.jsonl.gz', '--calls', '1000', '--json'])).toEqual({
    kind: 'options',
    file: 'a.jsonl.gz',
    calls: 1_000,
    json: true,
  });
  expect(parseDemo(['--help', '--calls', 'x']).kind).toBe('help');
});

test.each([
  ['199 calls', ['--calls', '199']],
  ['too many calls', ['--calls', '20001']],
  ['half a call', ['--calls', '300.5']],
  ['no number', ['--calls', 'many']],
  ['an unknown option', ['--url', 'https://api.openai.com']],
  ['a word too many', ['prompts.jsonl']],
])('refuses %s with words', (_what, args) => {
  expect(parseDemo(args)).toMatchObject({ kind: 'wrong', message: expect.any(String) });
});
