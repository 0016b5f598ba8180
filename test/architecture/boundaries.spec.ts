import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const root = path.resolve(import.meta.dirname, '../..');
const config = require('../../.dependency-cruiser.cjs') as { forbidden: { name: string }[] };

async function violatedRules(folder: string): Promise<string[]> {
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', folder];
  const binary = path.join(root, 'node_modules/.bin/depcruise');
  const output = await run(binary, args, { cwd: root, maxBuffer: 64 * 1024 * 1024 }).catch(
    (error: { stdout: string }) => error,
  );
  const { summary } = JSON.parse(output.stdout) as {
    summary: { violations: { rule: { name: string } }[] };
  };
  return [...new Set(summary.violations.map(({ rule }) => rule.name))].toSorted();
}

describe('import boundaries', () => {
  it('are kept by the product', async () => {
    expect(await violatedRules('src')).toEqual([]);
  }, 60_000);

  it('each fire on a file that breaks them', async () => {
    const rules = config.forbidden.map(({ name }) => name).toSorted();
    expect(await violatedRules('test/architecture/fixture/src')).toEqual(rules);
  }, 60_000);
});
