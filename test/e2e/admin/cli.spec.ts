import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { signInOperator } from '../../support/admin-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

const CLI = path.resolve(import.meta.dirname, '../../../dist/src/cli/main.js');
const OWNER: Actor = { kind: 'member', id: 'owner', role: 'owner' };

let gateway: TestGateway;
let orgId: string;
beforeAll(async () => {
  gateway = await startGateway();
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  ({ orgId } = found.principal);
});
afterAll(() => gateway?.stop());

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** As on the machine of the server: with its environment, and nothing of the test's own. */
async function shunt(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const { PATH = '', HOME = '' } = process.env;
  const own = { PATH, HOME, NODE_ENV: 'test', SHUNT_DATA_DIR: gateway.dataDir, ...env };
  try {
    const ran = await promisify(execFile)(process.execPath, [CLI, ...args], { env: own });
    return { code: 0, ...ran };
  } catch (error) {
    const { code, stdout, stderr } = error as Ran;
    return { code, stdout, stderr };
  }
}

const json = async <T>(...args: string[]): Promise<T> => {
  const ran = await shunt([...args, '--json']);
  if (ran.code !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout) as T;
};

const activate = () =>
  gateway.app.engine.services.subscriptions.apply(orgId, { event: 'activate', actor: OWNER });

test('kill --org stops routing and holds it until kill --release --org', async () => {
  expect((await activate()).kind).toBe('changed');
  const killed = await json('kill', '--org', orgId, '--reason', 'from the machine');
  expect(killed).toMatchObject({ changed: true, status: 'observing', hold: true });
  expect(await activate()).toMatchObject({ kind: 'refused', code: 'operator_hold' });
  expect(await json('kill', '--org', 'My organization', '--reason', 'again')).toMatchObject({
    changed: false,
    hold: true,
  });
  const released = await json('kill', '--release', '--org', orgId);
  expect(released).toMatchObject({ changed: true, hold: false });
  const trail = await gateway.app.engine.services.auditTrail.list(orgId);
  const kill = trail.find(({ action }) => action === 'subscription.kill');
  expect(kill).toMatchObject({ actorKind: 'command', reason: 'from the machine' });
});

test('kill --all turns the global switch, and --release turns it back', async () => {
  const { routingControl } = gateway.app.engine.services;
  expect(await json('kill', '--all', '--reason', 'x')).toMatchObject({ enabled: false });
  expect(await routingControl.global()).toMatchObject({
    enabled: false,
    lastEntry: { actorKind: 'command', reason: 'x' },
  });
  expect(await json('kill', '--all', '--release')).toMatchObject({ changed: true, enabled: true });
});

test('kill --local works with no database at all', async () => {
  const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
  const killed = await shunt(['kill', '--local', '--reason', 'all is down', '--json'], env);
  expect([killed.code, killed.stderr]).toEqual([0, '']);
  expect(JSON.parse(killed.stdout)).toMatchObject({ kind: 'engaged', reason: 'all is down' });
  const released = await shunt(['kill', '--local', '--release', '--json'], env);
  expect(JSON.parse(released.stdout)).toMatchObject({ kind: 'released' });
});

test('kill says for whom and why, or does nothing', async () => {
  const wrong = [
    [],
    ['--org', orgId],
    ['--all'],
    ['--local', '--reason', ' '],
    ['--all', '--org', orgId, '--reason', 'x'],
    ['--reason', 'x'],
    ['--all', '--reason', 'x'.repeat(1_001)],
  ];
  for (const args of wrong)
    expect([args, (await shunt(['kill', ...args])).code]).toEqual([args, 2]);
});

test('operators are added, given new credentials and disabled; each has what the panel asks for', async () => {
  interface Shown {
    readonly secret: string;
    readonly totp_secret: string;
  }
  const added = await json<Shown>('operators', 'add', 'grace');
  const credentials = { name: 'grace', secret: added.secret, totpSecret: added.totp_secret };
  const grace = await signInOperator(gateway, credentials);
  const rotated = await json<Shown>('operators', 'rotate', 'grace');
  expect((await grace.call('GET', '/session')).status).toBe(401);
  const renewed = { name: 'grace', secret: rotated.secret, totpSecret: rotated.totp_secret };
  expect((await (await signInOperator(gateway, renewed)).call('GET', '/session')).status).toBe(200);
  expect(await json('operators', 'disable', 'grace')).toEqual({ name: 'grace', changed: true });
  const listed = await json<{ name: string; disabled_at: string | null }[]>('operators', 'list');
  expect(listed.map(({ name, disabled_at: at }) => [name, at !== null])).toEqual([
    ['grace', true],
    ['operator', false],
  ]);
  expect((await shunt(['operators', 'disable', 'operator'])).stderr).toContain('last enabled');
  expect((await shunt(['operators', 'add', 'unknown'])).code).toBe(2);
});
