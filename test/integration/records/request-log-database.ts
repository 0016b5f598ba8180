import type { QueryRunner } from 'typeorm';
import { RequestLog1763600100000 } from '../../../migrations/1763600100000-request-log.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

/** A migrated database of one spec, with `request_log`. */
export async function requestLogDatabase(): Promise<TestDatabase> {
  const test = await testDatabase();
  const [found] = await test.owner.query<{ present: boolean }>(
    `SELECT to_regclass('public.request_log') IS NOT NULL AS present`,
  );
  if (found?.present !== true) {
    const runner = { query: (sql: string) => test.owner.query(sql) } as unknown as QueryRunner;
    await new RequestLog1763600100000().up(runner);
  }
  return test;
}
