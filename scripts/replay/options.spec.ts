import { describe, expect, test } from 'vitest';
import { parseOptions } from './options.js';

const good = ['--file', 'a.jsonl', '--key', 'k'];

describe('parseOptions', () => {
  test('a file and a key are enough', () => {
    expect(parseOptions(good, {})).toEqual({
      kind: 'options',
      file: 'a.jsonl',
      rate: 10,
      limit: null,
      concurrency: 50,
      url: 'http://127.0.0.1:8080',
      key: 'k',
      api: 'openai',
      model: null,
      streamShare: 0,
      spendUsd: null,
      maxTokens: 512,
      json: false,
    });
  });

  test('the key comes from the command line, else SHUNT_KEY, else the bootstrap key', () => {
    const env = { SHUNT_KEY: 'a', SHUNT_BOOTSTRAP_PROJECT_KEY: 'b' };
    expect(parseOptions(good, env)).toMatchObject({ key: 'k' });
    expect(parseOptions(['--file', 'f'], env)).toMatchObject({ key: 'a' });
    expect(parseOptions(['--file', 'f'], { ...env, SHUNT_KEY: '' })).toMatchObject({
      kind: 'wrong',
    });
    expect(parseOptions(['--file', 'f'], { SHUNT_BOOTSTRAP_PROJECT_KEY: 'b' })).toMatchObject({
      key: 'b',
    });
  });

  test.each([
    [['--key', 'k'], '--file'],
    [['--file', 'f'], 'SHUNT_KEY'],
    [[...good, '--rate', '0'], '--rate'],
    [[...good, '--rate', 'fast'], '--rate'],
    [[...good, '--limit', '1.5'], '--limit'],
    [[...good, '--concurrency', '0'], '--concurrency'],
    [[...good, '--api', 'other'], '--api'],
    [[...good, '--stream', '2'], '--stream'],
    [[...good, '--spend', '-1'], '--spend'],
    [[...good, '--url', 'ftp://a'], '--url'],
    [[...good, '--max-tokens', '1'], '--max-tokens'],
    [[...good, '--unknown'], '--unknown'],
  ])('%j is refused with a message that names %s', (args, named) => {
    const parsed = parseOptions(args, {});
    expect(parsed.kind === 'wrong' && parsed.message).toContain(named);
  });

  test('help needs nothing else', () => {
    expect(parseOptions(['--help'], {})).toEqual({ kind: 'help' });
  });
});
