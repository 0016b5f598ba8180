import { generate } from 'otplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { CountedEntries, type CountedEntry } from '../../../src/modules/audit/counted-entries.js';
import { OperatorSessions, SESSION_MS } from '../../../src/modules/operators/operator-sessions.js';
import { OperatorSignIn, type SignedIn } from '../../../src/modules/operators/operator-sign-in.js';
import { OperatorService } from '../../../src/modules/operators/operator.service.js';
import type { OperatorCredentials } from '../../../src/modules/operators/operator.js';
import { RoutingControl } from '../../../src/modules/subscriptions/routing-control.service.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

const ACTOR: Actor = { kind: 'command', name: 'test' };
const logger = createLogger('silent');
let nowMs = Date.now();
const clock = { nowMs: () => nowMs };

let db: TestDatabase;
let trail: AuditTrail;
let operators: OperatorService;
let sessions: OperatorSessions;
let failures: CountedEntries;
let signIn: OperatorSignIn;

beforeAll(async () => {
  db = await testDatabase();
  trail = new AuditTrail(db.database);
  operators = new OperatorService(db.database, db.secretBox, clock);
  sessions = new OperatorSessions(db.database, clock);
  failures = new CountedEntries(trail, clock, logger);
  signIn = new OperatorSignIn(db.database, db.secretBox, clock, failures, logger);
});
afterAll(async () => {
  await failures?.flush();
  await db?.close();
});

async function create(name: string): Promise<OperatorCredentials> {
  const created = await operators.create(name, ACTOR);
  if (created.kind !== 'created') throw new Error(created.kind);
  return created.credentials;
}

async function enter({ name, secret, totpSecret }: OperatorCredentials): Promise<SignedIn | null> {
  await db.database.query('UPDATE operators SET totp_last_step = 0 WHERE name = $1', [name]);
  const totp = await generate({ secret: totpSecret });
  return signIn.signIn({ name, secret, totp }, '192.0.2.1');
}

const actionsOn = async (name: string): Promise<string[]> => {
  const entries = await trail.list(INSTALLATION_ID, { limit: 500 });
  return entries
    .filter(({ actor, details }) => actor === name || details.includes(`"${name}"`))
    .map(({ action }) => action)
    .toReversed();
};

test('what is done to an operator, and what one does, stands in the installation’s trail', async () => {
  const anna = await create('anna');
  const entered = await enter(anna);
  expect(entered?.name).toBe('anna');
  const rotated = await operators.rotate('anna', ACTOR);
  expect(rotated.kind).toBe('rotated');
  await create('other');
  expect(await operators.disable('anna', ACTOR)).toMatchObject({ kind: 'disabled' });
  expect(await actionsOn('anna')).toEqual([
    'operator.created',
    'operator.signed_in',
    'operator.credentials_rotated',
    'operator.disabled',
  ]);
  const stored = JSON.stringify(await trail.list(INSTALLATION_ID, { limit: 500 }));
  for (const secret of [anna.secret, anna.totpSecret]) expect(stored).not.toContain(secret);
});

test('nobody is called as the trail calls strangers, nor anything that is no name', async () => {
  for (const name of ['unknown', 'Anna', 'a b', '', '-x', 'x'.repeat(61), '1st', 'é']) {
    expect(await operators.create(name, ACTOR)).toEqual({ kind: 'unusable_name' });
  }
});

test('a session ends 15 minutes after the login, by the clock of the server', async () => {
  const ben = await create('ben');
  const { session } = (await enter(ben))!;
  expect(session.expiresAtMs).toBe(nowMs + SESSION_MS);
  nowMs += SESSION_MS - 1;
  expect((await sessions.find(session.id))?.name).toBe('ben');
  nowMs += 1;
  expect(await sessions.find(session.id)).toBeNull();
});

test('two replicas let one code in once', async () => {
  const carl = await create('carl');
  const second = await db.connect();
  const elsewhere = new OperatorSignIn(second, db.secretBox, clock, failures, logger);
  const totp = await generate({ secret: carl.totpSecret });
  const credentials = { name: 'carl', secret: carl.secret, totp };
  const results = await Promise.all([
    signIn.signIn(credentials, '192.0.2.2'),
    elsewhere.signIn(credentials, '192.0.2.3'),
  ]);
  expect(results.filter((result) => result !== null)).toHaveLength(1);
  await second.close();
});

test('of all operators who disable each other at the same moment, one is left', async () => {
  const enabled = async (): Promise<string[]> =>
    (await operators.list()).filter((one) => one.disabledAt === null).map(({ name }) => name);
  for (const name of ['x1', 'x2', 'x3']) await create(name);
  const names = await enabled();
  const results = await Promise.all(names.map((name) => operators.disable(name, ACTOR)));
  expect(results.filter(({ kind }) => kind === 'last_one')).toHaveLength(1);
  expect(await enabled()).toHaveLength(1);
  await create('zoe');
});

const failedAs = (name: string): CountedEntry => ({
  actor: { kind: 'operator', name },
  action: 'operator.sign_in_failed',
});

test('failures of a minute become two entries at most, and none of them is lost', async () => {
  const entries = async () =>
    (await trail.list(INSTALLATION_ID, { limit: 500 })).filter(
      ({ action, actor }) => action === 'operator.sign_in_failed' && actor === 'unknown',
    );
  const before = (await entries()).length;
  for (let i = 0; i < 1_000; i += 1) failures.note(failedAs('unknown'));
  await failures.flush();
  const written = (await entries()).slice(0, (await entries()).length - before);
  expect(written).toHaveLength(2);
  const counts = written.map(
    ({ details }) => (JSON.parse(details) as { attempts: number }).attempts,
  );
  expect(counts.reduce((a, b) => a + b)).toBe(1_000);
});

test('failures that could not be written are counted until they can', async () => {
  const gone = await db.connect();
  await gone.close();
  let target = new AuditTrail(gone);
  const switching = { add: (...args: Parameters<AuditTrail['add']>) => target.add(...args) };
  const waiting = new CountedEntries(switching as AuditTrail, clock, logger);
  waiting.note(failedAs('dora'));
  waiting.note(failedAs('dora'));
  await waiting.flush();
  target = trail;
  await waiting.flush();
  const [entry] = (await trail.list(INSTALLATION_ID)).filter(({ actor }) => actor === 'dora');
  expect(JSON.parse(entry!.details)).toEqual({ attempts: 2 });
});

test('the global switch is turned and audited in one step, and turning it again changes nothing', async () => {
  const routing = new RoutingControl(db.database, clock);
  expect(await routing.global()).toEqual({ enabled: true, lastEntry: null });
  const operator: Actor = { kind: 'operator', name: 'zoe' };
  const off = await routing.setGlobal(false, operator, 'an incident');
  expect(off).toMatchObject({
    changed: true,
    enabled: false,
    lastEntry: { actor: 'zoe', oldValue: 'on', newValue: 'off', reason: 'an incident' },
  });
  const again = await routing.setGlobal(false, ACTOR, 'once more');
  expect(again).toEqual({ ...off, changed: false });
  expect(await routing.setGlobal(true, ACTOR, 'over')).toMatchObject({ enabled: true });
});
