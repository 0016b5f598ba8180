import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { LocalKill } from '../../../src/modules/subscriptions/local-kill.js';
import { LocalKillWatch } from '../../../src/modules/subscriptions/local-kill-watch.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let db: TestDatabase;
let dataDir: string;
const AT_MS = 1_790_000_000_000;

beforeAll(async () => {
  db = await testDatabase();
  dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-local-kill-'));
});
afterAll(async () => {
  rmSync(dataDir, { recursive: true, force: true });
  await db.close();
});

async function entries() {
  const all = await new AuditTrail(db.database).list(INSTALLATION_ID, { limit: 500 });
  return all
    .filter(({ action }) => action.startsWith('routing.local_'))
    .map(({ action, at, actorKind, actor, reason }) => [action, at, actorKind, actor, reason])
    .toReversed();
}

test('each act is in the trail once, whichever process of the data directory gets there, and wherever it dies', async () => {
  let nowMs = AT_MS;
  const kill = new LocalKill(dataDir, { nowMs: () => nowMs });
  kill.engage({ by: 'ada', reason: 'answers look wrong' });
  nowMs += 1_000;
  kill.release({ by: 'bob', reason: 'all is well' });
  const watches = Array.from(
    { length: 4 },
    () => new LocalKillWatch(new LocalKill(dataDir), createLogger('silent')),
  );
  // One dies between its entry and its mark.
  const dying = new LocalKill(dataDir);
  dying.markAudited = () => {
    throw new Error('killed');
  };
  await new LocalKillWatch(dying, createLogger('silent')).audit(db.database);
  expect(await entries()).toHaveLength(1);

  await Promise.all(watches.map((watch) => watch.audit(db.database)));
  await Promise.all(watches.map((watch) => watch.audit(db.database)));
  const expected = [
    ['routing.local_kill', '2026-09-21T14:13:20.000Z', 'command', 'ada', 'answers look wrong'],
    ['routing.local_release', '2026-09-21T14:13:21.000Z', 'command', 'bob', 'all is well'],
  ];
  expect(await entries()).toEqual(expected);
  expect(kill.unaudited()).toEqual([]);

  // The marks are lost with the machine's last second: the trail itself knows.
  rmSync(path.join(kill.directory, '000000000002.audited'));
  expect(kill.unaudited()).toHaveLength(1);
  await watches[0]!.audit(db.database);
  expect(await entries()).toEqual(expected);
});

test('while the database is away an act waits, and takes effect all the same', async () => {
  const kill = new LocalKill(dataDir);
  const watch = new LocalKillWatch(kill, createLogger('silent'));
  const act = kill.engage({ by: 'ada', reason: 'again' });
  const away = { transaction: () => Promise.reject(new Error('away')) };
  await watch.audit(away);
  await watch.look();
  expect(watch.engaged).toBe(true);
  expect(kill.unaudited().map((waiting) => waiting.act.id)).toEqual([act.id]);
  await watch.audit(db.database);
  expect(kill.unaudited()).toEqual([]);
  expect(await entries()).toHaveLength(3);
});
