import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestDatabase } from '../../support/postgres.js';
import { PostgresRig } from './postgres-rig.js';
import { requestLogDatabase } from './request-log-database.js';

let test: TestDatabase;

beforeAll(async () => {
  test = await requestLogDatabase();
});
afterAll(() => test.close());

/** Runs the child until it has said so many lines, kills it, and returns all that it said. */
async function killedAfter(lines: number, args: readonly string[]): Promise<string[]> {
  const here = import.meta.dirname;
  const hooks = path.join(here, 'typescript-hooks.mjs');
  const child = spawn(
    process.execPath,
    ['--import', hooks, path.join(here, 'spool-child.ts'), ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (text: string) => {
    said += text;
    if (said.split('\n').length > lines) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => {
    child.once('close', (_code, killedBy) => resolve(killedBy));
  });
  expect(signal).toBe('SIGKILL');
  // The last line may be cut off by the kill.
  return said.split('\n').slice(0, -1);
}

describe('a process killed in the middle of its appends', () => {
  it.each([1, 500, 5_000])(
    'loses nothing that it was told is written, after %i lines',
    async (lines) => {
      const rig = new PostgresRig();
      const orgId = randomUUID();
      const key = rig.encryptionKeys.current.toString('base64');
      const said = await killedAfter(lines, [rig.dataDir, key, orgId]);
      const written = (kind: string): Set<string> =>
        new Set(said.filter((line) => line.startsWith(kind)).map((line) => line.slice(2)));

      const { recorder, metric } = rig.recorder(test.database);
      recorder.lookForOrphans();
      expect(await recorder.flush(30_000)).toBe(true);
      const rows = await test.database.tenant(orgId, (q) =>
        q.query<{ id: string; outcome: string }>(
          'SELECT request_id AS id, outcome FROM request_log',
        ),
      );
      const outcomes = new Map(rows.map((row) => [row.id, row.outcome]));
      expect(outcomes.size).toBe(rows.length);
      const [starts, finals] = [written('s '), written('f ')];
      expect([...finals].filter((id) => outcomes.get(id) !== 'completed')).toEqual([]);
      expect([...starts].filter((id) => !outcomes.has(id))).toEqual([]);
      expect([...outcomes.values()]).toContain('interrupted');
      expect(await metric('shunt_spool_adopted_total')).toBe(1);
      expect(await metric('shunt_records_interrupted_total')).toBeGreaterThan(0);
      await recorder.close(5_000);
      rig.remove();
    },
  );
});
