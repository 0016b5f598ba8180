import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import type { Command } from '../../../src/cli/command.js';
import { invoiceCommands } from '../../../src/cli/invoices.js';
import { reportCommands } from '../../../src/cli/report.js';
import { requestCommands } from '../../../src/cli/requests.js';
import { savingsCommands, verifyStatementFile } from '../../../src/cli/savings.js';
import type { Session } from '../../../src/cli/session.js';
import { ReportService } from '../../../src/modules/observation/report.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { RequestLog } from '../../../src/modules/records/request-log.js';
import { OPENAI_COST_HEADER, openaiCost } from './provider-files.js';
import { OWNER, entryOf, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

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
  } as unknown as Session;
  await rig.calls(orgId, [
    { atMs: FROM, cost_nano_usd: '1500000000' },
    { atMs: FROM + 1, synthetic: true },
  ]);
  await rig.entries(orgId, [entryOf(orgId, FROM)]);
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

test('savings are told by the ledger and by the control group', async () => {
  const { text, json } = await run('savings', { from: `${month}-01` });
  expect(text).toMatch(/routed +1 /);
  expect(text).toContain('No interval: too few sessions.');
  expect(json).toMatchObject({ figures: { total: { entries: 1 } } });
  await expect(run('savings', { from: 'May' })).rejects.toThrow(/--from/);
  await expect(run('savings', { from: '2020-01-01', to: '2026-01-01' })).rejects.toThrow(/days/);
});

test('a statement is made, and checked from its file alone', async () => {
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
