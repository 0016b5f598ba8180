import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { StatementService, monthPeriod } from '../../../src/modules/reports/statement.service.js';
import { isGenuineStatement } from '../../../src/modules/reports/statement.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { requestIdAt } from '../records/record-samples.js';
import { fileOf, openaiCost, OPENAI_COST_HEADER } from './provider-files.js';
import { DAY_MS, OWNER, entryOf, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const FROM = lastMonthMs();
const month = new Date(FROM).toISOString().slice(0, 7);
const monthEndMs = monthPeriod(month)!.toMs;

async function created(orgId: string) {
  const made = await rig.statements.create(orgId, month, OWNER);
  if (made.kind !== 'created') throw new Error(made.kind);
  return made.statement;
}

async function seal(orgId: string): Promise<void> {
  const logger = createLogger('silent');
  await new LedgerSealer(rig.db.database, rig.signer, rig.clock, logger).seal(orgId);
}

test('a statement names the head of the ledger, from which its sums follow', async () => {
  const orgId = await rig.organization();
  await rig.entries(orgId, [entryOf(orgId, FROM), entryOf(orgId, FROM + DAY_MS)]);
  await seal(orgId);
  // Of other months, and under no seal: they wait for theirs, not this month for them.
  await rig.entries(orgId, [entryOf(orgId, FROM - DAY_MS), entryOf(orgId, monthEndMs)]);
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

test('there is none while entries of the month wait for their seal, and it says when to come back', async () => {
  const orgId = await rig.organization();
  const create = () => rig.statements.create(orgId, month, OWNER);
  await rig.entries(orgId, [entryOf(orgId, FROM)]);
  expect(await create()).toEqual({ kind: 'not_sealed', retryAfterSeconds: 60 });
  await seal(orgId);
  await rig.entries(orgId, [entryOf(orgId, FROM + 1, { synthetic: true })]);
  expect(await create()).toEqual({ kind: 'not_sealed', retryAfterSeconds: 60 });
  await seal(orgId);
  expect((await create()).kind).toBe('created');
});

test('counts, sums and the measured difference of a statement are of the same calls', async () => {
  const orgId = await rig.organization();
  const routing = { control: false, would: true };
  const ids = [FROM, FROM + DAY_MS].map((atMs) => ({ atMs, request_id: requestIdAt(atMs) }));
  const calls = ids.map((id, i) => ({ ...id, decision: 'classifier' as const, session_key: `s${i}`, routing, cost_nano_usd: '70' }));
  const failed = { kind: 'failed_attempt', usage: { inputTokens: 9 }, served_prices: { inputTokens: '1000000' } } as const;
  await rig.calls(orgId, calls);
  await rig.entries(orgId, [
    ...ids.map(({ atMs, request_id }) => entryOf(orgId, atMs, { request_id })),
    entryOf(orgId, FROM, { request_id: ids[0]!.request_id, ...failed }),
  ]);
  await seal(orgId);
  // While the statement is read another call of the month comes in, with all that belongs to it.
  const late = { atMs: FROM + 5, request_id: requestIdAt(FROM + 5) };
  const { service, readings } = interrupted(async () => {
    await rig.calls(orgId, [{ ...calls[0]!, ...late, session_key: 'late' }]);
    await rig.entries(orgId, [entryOf(orgId, late.atMs, { request_id: late.request_id })]);
  });
  const made = await service.create(orgId, month, OWNER);
  if (made.kind !== 'created') throw new Error(made.kind);
  expect(readings()).toBe(1);
  expect(JSON.parse(made.statement.text)).toMatchObject({
    ledger_head: { entries: 3 },
    savings: {
      total: { entries: 3 },
      calls: { routed: 2, unpriceable: 0 },
      measured: { routed: { sessions: 2, mean_nano_usd: '74' } },
    },
  });
}); // prettier-ignore

test('a correction that comes later belongs to the month in which it is made', async () => {
  const orgId = await rig.organization();
  const routed = entryOf(orgId, FROM);
  await rig.entries(orgId, [routed]);
  await seal(orgId);
  const before = JSON.parse((await created(orgId)).text) as { savings: unknown };
  await rig.entries(orgId, [
    entryOf(orgId, monthEndMs + 1, { kind: 'adjustment', request_id: routed.request_id }),
  ]);
  rig.clock.atMs += 60_000;
  const after = JSON.parse((await created(orgId)).text) as { savings: unknown };
  expect(after.savings).toEqual(before.savings);
});

/** Statements whose reading is interrupted once, after its first look at the ledger. */
function interrupted(meanwhile: () => Promise<void>) {
  let times = 0;
  const { database } = rig.db;
  const readings = {
    tenant: database.tenant.bind(database),
    tenantSnapshot: <T>(orgId: string, work: (q: Queryable) => Promise<T>) =>
      database.tenantSnapshot(orgId, (q) =>
        work({
          query: async <Row>(sql: string, parameters?: readonly unknown[]) => {
            const rows = await q.query<Row>(sql, parameters);
            if (sql.includes('AS waiting') && (times += 1) === 1) await meanwhile();
            return rows;
          },
        }),
      ),
  } as unknown as Database;
  const service = new StatementService(readings, rig.clock, rig.signer);
  return { service, readings: () => times };
}

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
  // Calls that began in its last minute may still be running.
  const { clock } = rig;
  const nowMs = clock.atMs;
  clock.atMs = monthEndMs + 60_000;
  const soon = await rig.statements.create(orgId, month, OWNER);
  clock.atMs = nowMs;
  expect(soon).toEqual({
    kind: 'month_not_over',
    from: new Date(monthEndMs + 900_000).toISOString(),
  });
  expect(await rig.statements.list(orgId)).toEqual([]);
});

test("no organization is told another's statement", async () => {
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  const { id } = await created(foreign);
  expect(await rig.statements.find(own, id)).toBeNull();
  expect(await rig.statements.find(own, 'x')).toBeNull();
  expect(await rig.statements.list(own)).toEqual([]);
});
