import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { isGenuineStatement } from '../../../src/modules/reports/statement.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { fileOf, openaiCost, OPENAI_COST_HEADER } from './provider-files.js';
import { DAY_MS, OWNER, entryOf, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const FROM = lastMonthMs();
const month = new Date(FROM).toISOString().slice(0, 7);

async function created(orgId: string) {
  const made = await rig.statements.create(orgId, month, OWNER);
  if (made.kind !== 'created') throw new Error(made.kind);
  return made.statement;
}

async function seal(orgId: string): Promise<void> {
  const logger = createLogger('silent');
  await new LedgerSealer(rig.db.database, rig.signer, rig.clock, logger).seal(orgId);
}

test('a statement names the head of the ledger, and speaks of what is under its seal alone', async () => {
  const orgId = await rig.organization();
  await rig.entries(orgId, [entryOf(orgId, FROM), entryOf(orgId, FROM + DAY_MS)]);
  await seal(orgId);
  await rig.entries(orgId, [entryOf(orgId, FROM + 2 * DAY_MS), entryOf(orgId, FROM - DAY_MS)]);
  await rig.calls(orgId, [{ atMs: FROM, cost_nano_usd: '1000' }]);
  const file = fileOf([
    OPENAI_COST_HEADER,
    openaiCost(`${month}-01`, 'gpt-5.1, input', '0.000002'),
  ]);
  await rig.imports.import(orgId, { provider: 'openai', ownKey: null }, file, OWNER);
  const statement = await created(orgId);
  const body = JSON.parse(statement.text) as Record<string, unknown>;
  expect(body).toMatchObject({
    document: 'shunt-savings-statement-1',
    id: statement.id,
    organization_id: orgId,
    month,
    number: 1,
    follows: null,
    ledger_head: { seal: 1, entries: 2, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    entries_without_seal: 1,
    savings: {
      version: 1,
      total: { entries: 2, savings_nano_usd: String(2n * savingsOf(orgId)) },
      calls: { passthrough: 1 },
      measured: { no_interval: 'too_few_sessions' },
    },
    invoices: [
      { provider: 'openai', days_covered: 1, sum: { invoiced: '2000', logged: '1000', residual: '1000', percent: '50.00' } },
    ],
  }); // prettier-ignore
  expect(await rig.statements.find(orgId, statement.id)).toEqual(statement);
  const { id, number, createdAt } = statement;
  expect(await rig.statements.list(orgId)).toEqual([{ id, month, number, createdAt }]);
});

const savingsOf = (orgId: string): bigint => BigInt(entryOf(orgId, FROM).savings_nano_usd);

test('a reader who has the text, the signature and the key needs nothing else to check it', async () => {
  const { text, signature, publicKey } = await created(await rig.organization());
  expect(isGenuineStatement(publicKey, text, signature)).toBe(true);
  const { privateKey } = generateKeyPairSync('ed25519');
  const other = new Signer(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  expect(isGenuineStatement(other.publicKey, text, signature)).toBe(false);
  expect(isGenuineStatement('no key', text, signature)).toBe(false);
  expect(isGenuineStatement(publicKey, text, 'x')).toBe(false);
  // Every single character counts.
  for (let at = 0; at < text.length; at += 7) {
    const changed = `${text.slice(0, at)}${text[at] === '1' ? '2' : '1'}${text.slice(at + 1)}`;
    expect(isGenuineStatement(publicKey, changed, signature)).toBe(false);
  }
  // What the key signs for another purpose is no statement.
  for (const foreign of ['shunt-audit-head-1\n', '{"document":"shunt-other-1"}', `${text}\n`, `[${text}]`]) {
    expect(isGenuineStatement(publicKey, foreign, rig.signer.sign(foreign))).toBe(false);
  } // prettier-ignore
});

test('a later statement of the month follows the first one, which stays as it was', async () => {
  const orgId = await rig.organization();
  const first = await created(orgId);
  expect(await rig.statements.create(orgId, month, OWNER)).toEqual({
    kind: 'too_soon',
    retryAfterSeconds: 60,
  });
  rig.clock.atMs += 60_000;
  const second = await created(orgId);
  expect(JSON.parse(second.text)).toMatchObject({ number: 2, follows: first.id });
  expect(await rig.statements.find(orgId, first.id)).toEqual(first);
  await expect(
    rig.db.database.tenant(orgId, (q) => q.query(`UPDATE savings_statements SET text = '{}'`)),
  ).rejects.toMatchObject({ code: '42501' });
  await expect(
    rig.db.owner.tenant(orgId, (q) => q.query(`UPDATE savings_statements SET text = '{}'`)),
  ).rejects.toThrow();
  await expect(
    rig.db.database.tenant(orgId, (q) => q.query('DELETE FROM savings_statements')),
  ).rejects.toMatchObject({ code: '42501' });
  const trail = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ subject: string }>(
      `SELECT subject FROM audit_log WHERE action = 'statement.created' ORDER BY seq`,
    ),
  );
  expect(trail.map(({ subject }) => subject)).toEqual([first.id, second.id]);
});

test('there is none of a month that is not over, or is none', async () => {
  const orgId = await rig.organization();
  const current = new Date(rig.clock.atMs).toISOString().slice(0, 7);
  const kindOf = async (of: string) => (await rig.statements.create(orgId, of, OWNER)).kind;
  expect(await kindOf(current)).toBe('month_not_over');
  expect(await kindOf('2099-12')).toBe('month_not_over');
  for (const wrong of ['2026-13', '2026-1', '26-01', '2026-01-01', '', "2026-01'; --"]) {
    expect(await kindOf(wrong)).toBe('invalid_month');
  }
  expect(await rig.statements.list(orgId)).toEqual([]);
});

test("no organization is told another's statement", async () => {
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  const { id } = await created(foreign);
  expect(await rig.statements.find(own, id)).toBeNull();
  expect(await rig.statements.find(own, 'x')).toBeNull();
  expect(await rig.statements.list(own)).toEqual([]);
});
