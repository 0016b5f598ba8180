import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generate } from 'otplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import type { Command } from '../../../src/cli/command.js';
import { memberCommands } from '../../../src/cli/members.js';
import { orgCommands } from '../../../src/cli/orgs.js';
import { commandActor, type Session } from '../../../src/cli/session.js';
import { loadConfig } from '../../../src/config/app-config.js';
import { insertUserWithin } from '../../../src/modules/organizations/user.service.js';
import { RekeyService } from '../../../src/modules/bootstrap/rekey.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { createServices } from '../../../src/services.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let db: TestDatabase;
let session: Session;
beforeAll(async () => {
  db = await testDatabase();
  const { database, secretBox } = db;
  const config = loadConfig({
    NODE_ENV: 'test',
    SHUNT_DATA_DIR: dataDir,
    DATABASE_URL: 'postgres://unused',
  });
  const logger = createLogger('silent');
  session = {
    ...createServices({ config, database, secretBox, clock: systemClock, logger }),
    rekey: new RekeyService(database, secretBox, systemClock),
    actor: commandActor(),
    hasPreviousKey: false,
    close: async () => undefined,
  };
});
afterAll(() => db?.close());

const dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-cli-'));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

function commandNamed(name: string): Command {
  const command = [...orgCommands, ...memberCommands].find((candidate) => candidate.name === name);
  if (!command) throw new Error(`no command ${name}`);
  return command;
}

test('the command line changes roles, takes people out and removes a lost second factor, each in the trail', async () => {
  const run = (command: string, options: Arguments['options']) =>
    commandNamed(command).run(session, { options, positionals: [] });
  const [owner, other] = ['owner@acme.test', 'other@acme.test'];
  const made = await run('orgs create', { name: 'Acme', 'owner-email': owner });
  const { id: orgId } = made.json as { id: string };
  const { userId } = (await run('members add', { email: other })).json as { userId: string };
  await expect(run('members role', { email: owner, role: 'member' })).rejects.toThrow(
    /owner first/,
  );
  await expect(run('members remove', { email: owner })).rejects.toThrow(/owner first/);
  await expect(run('members role', { email: other })).rejects.toThrow(/--role/);
  await expect(run('members remove', { email: 'x@acme.test' })).rejects.toThrow(/members list/);
  await run('members role', { email: 'OTHER@acme.test', role: 'owner' });
  await run('members remove', { email: owner });
  await expect(run('members remove', { email: owner })).rejects.toThrow(/members list/);
  expect((await session.members.list(orgId)).map(({ role }) => role)).toEqual(['owner']);

  expect((await run('members reset-totp', { email: other })).json).toEqual({
    userId,
    changed: false,
  });
  const begun = await session.totp.begin(userId, other);
  if (begun.kind !== 'begun') throw new Error(begun.kind);
  const code = await generate({ secret: begun.secret });
  await session.totp.confirm({ userId, sessionId: randomUUID() }, code);
  expect((await run('members reset-totp', { email: other })).json).toEqual({
    userId,
    changed: true,
  });
  await expect(run('members reset-totp', { email: 'x@acme.test' })).rejects.toThrow(/Nobody/);
  const entries = await session.auditTrail.list(orgId);
  expect(entries.slice(0, 4).map(({ action, actorKind }) => `${actorKind} ${action}`)).toEqual([
    'command user.totp_changed',
    'member user.totp_changed',
    'command member.removed',
    'command member.role_changed',
  ]);
  expect(JSON.stringify(entries)).not.toContain('acme.test');

  // Somebody signed up with that address, and never confirmed it: whoever is added gets the account.
  const email = 'third@acme.test';
  await insertUserWithin(db.database, email, 'x', null);
  expect((await run('members add', { email })).json).toMatchObject({
    password: expect.stringMatching(/^\S{20}$/) as string,
  });
  await run('members remove', { email });
  expect((await run('members add', { email })).json).toMatchObject({ password: null });
});
