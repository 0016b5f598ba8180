import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import type { Command } from '../../../src/cli/command.js';
import { invoiceCommands } from '../../../src/cli/invoices.js';
import { ledgerExportCommands } from '../../../src/cli/ledger-export.js';
import { reportCommands } from '../../../src/cli/report.js';
import { requestCommands } from '../../../src/cli/requests.js';
import { savingsCommands, verifyStatementFile } from '../../../src/cli/savings.js';
import type { Session } from '../../../src/cli/session.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { LedgerExport } from '../../../src/modules/ledger/ledger-csv.js';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { ReportService } from '../../../src/modules/observation/report.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { RequestLog } from '../../../src/modules/records/request-log.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { OPENAI_COST_HEADER, openaiCost } from './provider-files.js';
import { DAY_MS, OWNER, entryOf, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

let rig: ReportsRig;
let session: Session;
let orgId: string;
const dir = mkdtempSync(path.join(tmpdir(), 'shunt-reports-'));
const FROM = lastMonthMs();
const month = new Date(FROM).toISOString().slice(0, 7);
beforeAll(async () => {
  rig = await reportsRig();
  const { database, secretBox } = rig.db;
  orgId = await rig.organization();
  session = {
    actor: OWNER,
    organizations: new OrganizationService(database, secretBox, rig.clock),
    projects: new ProjectService(database, rig.clock),
    reports: new ReportService(database, rig.clock),
    requestLog: new RequestLog(database),
    savingsReports: rig.savings,
    statements: rig.statements,
    invoiceImports: rig.imports,
    invoiceChecks: rig.checks,
    ledgerExport: new LedgerExport(database, rig.signer, rig.clock),
  } as unknown as Session;
  await database.tenant(orgId, (q) =>
    q.query(`INSERT INTO observations (org_id, started_at, ends_at) VALUES ($1, $2, $3)`, [
      orgId,
      new Date(FROM),
      new Date(FROM + 14 * DAY_MS),
    ]),
  );
  await rig.calls(orgId, [
    { atMs: FROM, cost_nano_usd: '1500000000' },
    { atMs: FROM + 1, synthetic: true },
  ]);
  await rig.entries(orgId, [entryOf(orgId, FROM), entryOf(orgId, FROM + 1, { auto: true })]);
});
afterAll(async () => {
  rmSync(dir, { recursive: true });
  await rig?.close();
});

const COMMANDS: readonly Command[] = [
  ...reportCommands,
  ...savingsCommands,
  ...requestCommands,
  ...invoiceCommands,
  ...ledgerExportCommands,
];
function run(name: string, options: Arguments['options'] = {}, positionals: string[] = []) {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) throw new Error(name);
  return command.run(session, { options, positionals });
}
function fileWith(name: string, content: string): string {
  const file = path.join(dir, name);
  writeFileSync(file, content);
  return file;
}

test('requests are a table, and what is of the sandbox says so', async () => {
  const { text } = await run('requests');
  expect(text).toContain('gpt-5.1-2025-11-13');
  expect(text).toContain('$1.50');
  expect(text).toContain('(sandbox)');
  await expect(run('requests', { limit: '0' })).rejects.toThrow(/--limit/);
});

test('a report is made and shown', async () => {
  await expect(run('report')).rejects.toThrow(/report --new/);
  const { text } = await run('report', { new: true });
  expect(text).toContain('route class'.toUpperCase());
  expect((await run('report')).text).toBe(text);
});

test('calls of the sandbox are in a report where that is asked for, and every heading says so', async () => {
  rig.clock.atMs += 60_000;
  const asked = { new: true, 'include-synthetic': true };
  const { text, json } = await run('report', asked);
  expect(json).toMatchObject({ figures: { synthetic_included: true } });
  const headings = text.split('\n').filter((line) => /calls {2}/i.test(line) && !/^\d/.test(line));
  expect(headings.length).toBeGreaterThan(3);
  for (const heading of [text.split('\n')[0]!, ...headings]) {
    expect(heading.toLowerCase()).toContain('(sandbox included)');
  }
  expect((await run('savings', { 'include-synthetic': true })).text).toContain(
    '(sandbox included)',
  );
  await expect(run('report', { 'include-synthetic': true })).rejects.toThrow(/--new/);
  rig.clock.atMs += 60_000;
  expect((await run('report', { new: true })).text).not.toContain('(sandbox included)');
});

test('savings are told by the ledger and by the control group', async () => {
  const { text, json } = await run('savings', { from: `${month}-01` });
  expect(text).toMatch(/routed +1 /);
  expect(text).toMatch(/in all +1 /);
  expect(text).toMatch(/shunt\/auto +1 /);
  expect(text).toContain('No interval: too few sessions.');
  expect(json).toMatchObject({ figures: { total: { entries: 1 } } });
  await expect(run('savings', { from: 'May' })).rejects.toThrow(/--from/);
  await expect(run('savings', { from: '2020-01-01', to: '2026-01-01' })).rejects.toThrow(/days/);
});

test('a statement is made, and checked from its file alone', async () => {
  await expect(run('savings statement', { month })).rejects.toThrow(/seal.*Try again in 60 s/);
  await expect(run('savings statement', { month: '2099-01' })).rejects.toThrow(/2099-02-01T00:15/);
  await new LedgerSealer(rig.db.database, rig.signer, rig.clock, createLogger('silent')).seal(
    orgId,
  );
  const { json } = await run('savings statement', { month });
  const file = fileWith('statement.json', JSON.stringify(json));
  const keyFile = fileWith('key.pem', rig.signer.publicKey);
  const check = (of: string, options: Arguments['options'] = {}) =>
    verifyStatementFile({ options, positionals: [of] });
  expect(await check(file)).toMatchObject({ json: { genuine: true, checked_with: 'own' } });
  expect(await check(file, { 'public-key': keyFile })).toMatchObject({
    json: { genuine: true, checked_with: 'given' },
  });
  const changed = JSON.stringify(json).replace('\\"number\\":1', '\\"number\\":2');
  expect(await check(fileWith('changed.json', changed))).toMatchObject({
    exitCode: 1,
    json: { genuine: false },
  });
  await expect(check(fileWith('none.json', '{}'))).rejects.toThrow(/no statement/);
  await expect(check(path.join(dir, 'missing'))).rejects.toThrow(/cannot be read/);
});

test('a ledger is written whole or not at all, and only what is written is in the trail', async () => {
  const out = path.join(dir, 'ledger.csv');
  const exports = async () => {
    const trail = await new AuditTrail(rig.db.database).list(orgId);
    return trail.filter(({ action }) => action === 'ledger.exported').length;
  };
  const files = () => readdirSync(dir).filter((name) => name.startsWith('ledger.csv'));
  await expect(run('ledger export', { out: path.join(dir, 'no', 'ledger.csv') })).rejects.toThrow(
    /cannot be written/,
  );
  expect(await exports()).toBe(0);
  const opened = session.ledgerExport;
  const broken = {
    open: async () =>
      Readable.from(
        (async function* () {
          yield 'row,\n';
          throw new Error('the database is gone');
        })(),
      ),
  };
  Object.assign(session, { ledgerExport: broken });
  await expect(run('ledger export', { out })).rejects.toThrow(/database is gone/);
  expect(files()).toEqual([]);
  Object.assign(session, { ledgerExport: opened });
  await run('ledger export', { out });
  expect(files()).toEqual(['ledger.csv']);
  expect(readFileSync(out, 'utf8').trimEnd().split('\n').at(-1)).toMatch(/^end,/);
  await expect(run('ledger export', { out })).rejects.toThrow(/exists already/);
  expect(await exports()).toBe(1);
});

test("a statement's sums are recounted from the ledger's export, without a database", async () => {
  const statement = path.join(dir, 'statement.json');
  const ledger = path.join(dir, 'recounted.csv');
  await run('ledger export', { out: ledger });
  const check = (of: string) =>
    verifyStatementFile({ options: { ledger: of }, positionals: [statement] });
  expect(await check(ledger)).toMatchObject({ json: { genuine: true, differences: [] } });
  const content = readFileSync(ledger, 'utf8');
  const lines = content.split('\n');
  const without = [...lines.slice(0, 1), ...lines.slice(2)].join('\n');
  const missing = await check(fileWith('missing.csv', without));
  expect(missing.exitCode).toBe(1);
  expect(missing.text).toMatch(/total, entries +1 +0/);
  const seal = lines.findIndex((line) => line.startsWith('seal,'));
  const unsealed = [...lines.slice(0, seal), ...lines.slice(seal + 1)].join('\n');
  expect(await check(fileWith('unsealed.csv', unsealed))).toMatchObject({
    exitCode: 1,
    json: { differences: [{ of: 'ledger_head', found: 'none' }] },
  });
  await expect(check('/nowhere')).rejects.toThrow(/cannot be read/);
  await expect(check(fileWith('quote.csv', '"open'))).rejects.toThrow(/no CSV/);
});

test('an invoice is imported from its file, and held against the calls', async () => {
  const lines = [OPENAI_COST_HEADER, openaiCost(`${month}-01`, 'gpt-5.1, input', '2')];
  const file = fileWith('costs.csv', lines.join('\n'));
  const { text } = await run('invoices import', { provider: 'openai' }, [file]);
  expect(text).toContain('1 rows (cost)');
  const checked = await run('invoices check', { provider: 'openai', from: `${month}-01` });
  expect(checked.text).toMatch(/in all +\$2\.00 +\$1\.50 +\$0\.50 +25\.00 %/);
  await expect(run('invoices import', { provider: 'openai' }, ['/nowhere'])).rejects.toThrow(
    /cannot be read/,
  );
  await expect(run('invoices check', { provider: 'groq' })).rejects.toThrow(/openai or anthropic/);
});
