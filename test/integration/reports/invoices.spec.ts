import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FILE_BYTES_MAX } from '../../../src/modules/invoices/invoice-import.service.js';
import type { InvoiceProvider } from '../../../src/modules/invoices/provider-export.js';
import { UNMETERED } from '../records/record-samples.js';
import {
  ANTHROPIC_COST_HEADER,
  ANTHROPIC_USAGE_HEADER,
  OPENAI_COST_HEADER,
  OPENAI_USAGE_HEADER,
  anthropicCost,
  anthropicUsage,
  fileOf,
  openaiCost,
  openaiEmptyDay,
  openaiUsage,
} from './provider-files.js';
import { DAY_MS, OWNER, entryOf, lastMonthMs, reportsRig, type ReportsRig } from './reports-rig.js';

let rig: ReportsRig;
beforeAll(async () => {
  rig = await reportsRig();
});
afterAll(() => rig?.close());

const FROM = lastMonthMs();
const day = (n: number): string => new Date(FROM + n * DAY_MS).toISOString().slice(0, 10);
const check = (orgId: string, provider: InvoiceProvider, days = 10) =>
  rig.checks.check(orgId, { provider, fromDay: day(0), toDay: day(days - 1) });

async function imported(
  orgId: string,
  provider: InvoiceProvider,
  lines: readonly string[],
  ownKey: string | null = null,
) {
  const result = await rig.imports.import(orgId, { provider, ownKey }, fileOf(lines), OWNER);
  if (result.kind !== 'imported') throw new Error(JSON.stringify(result));
  return result.import;
}

test("OpenAI's costs leave a residual by day and model, to the nano-USD", async () => {
  const orgId = await rig.organization();
  await rig.calls(orgId, [
    { atMs: FROM, cost_nano_usd: '895874000' },
    { atMs: FROM + DAY_MS - 1, cost_nano_usd: '104126001' },
    { atMs: FROM + DAY_MS, cost_nano_usd: '5', synthetic: true },
    { atMs: FROM + DAY_MS + 5, ...UNMETERED },
    { atMs: FROM + DAY_MS + 6, provider: 'anthropic', cost_nano_usd: '77' },
    { atMs: FROM + 2 * DAY_MS, served_model: 'gpt-6-luna', cost_nano_usd: '40' },
    { atMs: FROM + 9 * DAY_MS, cost_nano_usd: '1000000000' },
  ]);
  await rig.entries(orgId, [
    entryOf(orgId, FROM, {
      kind: 'failed_attempt',
      served_model: 'gpt-5.1',
      usage: { inputTokens: 1 },
      served_prices: { inputTokens: '9000000' },
    }),
  ]);
  const made = await imported(orgId, 'openai', [
    OPENAI_COST_HEADER,
    openaiCost(day(0), 'gpt-5.1-2025-11-13, input', '0.8958740000000000'),
    openaiCost(day(0), 'gpt-5.1-2025-11-13, output', '0.10412601'),
    openaiCost(day(1), 'gpt-5.1-2025-11-13, cached input', '1.2e-05'),
    openaiEmptyDay(day(2)),
    openaiCost(day(3), 'text-embedding-3-small', '0.5'),
  ]);
  expect(made).toMatchObject({ kind: 'cost', from_day: day(0), to_day: day(3), file_rows: 5 });
  const { cost, input_tokens: tokens } = await check(orgId, 'openai');
  expect(tokens).toBeNull();
  expect(cost?.days_covered).toBe(4);
  expect(cost?.lines).toEqual([
    { day: day(0), model: 'gpt-5-1', seen: 'both', invoiced: '1000000010', logged: '1000000010', residual: '0', percent: '0.00' },
    { day: day(1), model: 'gpt-5-1', seen: 'both', invoiced: '12000', logged: '0', residual: '12000', percent: '100.00' },
    { day: day(2), model: 'gpt-6-luna', seen: 'log_only', invoiced: '0', logged: '40', residual: '-40', percent: null },
    { day: day(3), model: 'text-embedding-3-small', seen: 'invoice_only', invoiced: '500000000', logged: '0', residual: '500000000', percent: '100.00' },
  ]); // prettier-ignore
  expect(cost?.sum).toMatchObject({ residual: '500011960', percent: '33.33' });
  expect(cost?.explanation).toEqual({
    other_key: '0',
    invoice_only: '500000000',
    log_only: '-40',
    remainder: '12000',
    unmetered_calls: 1,
    unpriceable_calls: 0,
    estimated_calls: 0,
  });
});

test("Anthropic's display names are the models of the log, and another key is told apart", async () => {
  const orgId = await rig.organization();
  const model = 'claude-sonnet-5-5-20260929';
  await rig.calls(orgId, [
    { atMs: FROM, provider: 'anthropic', served_model: model, cost_nano_usd: '3000000000' },
  ]);
  await imported(
    orgId,
    'anthropic',
    [
      ANTHROPIC_COST_HEADER,
      anthropicCost(day(0), 'Claude Sonnet 5.5', '3.00'),
      anthropicCost(day(0), 'Claude Sonnet 5.5', '7.25', 'Somebody else'),
    ],
    'Production',
  );
  const { cost } = await check(orgId, 'anthropic');
  expect(cost?.sum).toEqual({
    invoiced: '3000000000',
    logged: '3000000000',
    residual: '0',
    percent: '0.00',
  });
  expect(cost?.explanation.other_key).toBe('7250000000');
});

test('tokens are compared where tokens were exported', async () => {
  const orgId = await rig.organization();
  const usage = { inputTokens: 100, cacheReadTokens: 40, cacheWrite1hTokens: 2, outputTokens: 9 };
  await rig.calls(orgId, [
    { atMs: FROM, provider: 'anthropic', served_model: 'claude-haiku-5-5', usage },
    { atMs: FROM, usage: { inputTokens: 1_000, outputTokens: 10, reasoningTokens: 4 } },
  ]);
  await imported(orgId, 'anthropic', [
    ANTHROPIC_USAGE_HEADER,
    anthropicUsage(day(0), 'claude-haiku-5-5', [100, 0, 2, 41, 9]),
  ]);
  await imported(orgId, 'openai', [OPENAI_USAGE_HEADER, openaiUsage(day(0), 'gpt-5.1', 1_000, 10)]);
  const anthropic = await check(orgId, 'anthropic');
  expect(anthropic.cost).toBeNull();
  expect(anthropic.input_tokens?.sum).toMatchObject({ invoiced: '143', logged: '142' });
  expect(anthropic.output_tokens?.sum).toMatchObject({ invoiced: '9', logged: '9' });
  const openai = await check(orgId, 'openai');
  expect(openai.input_tokens?.sum).toMatchObject({ invoiced: '1000', residual: '0' });
});

test('of two imports that speak of a day the newer one counts, for that day', async () => {
  const orgId = await rig.organization();
  const line = (n: number, usd: string): string => openaiCost(day(n), 'gpt-5.1, input', usd);
  await imported(orgId, 'openai', [OPENAI_COST_HEADER, line(0, '1'), line(1, '2'), line(2, '4')]);
  await imported(orgId, 'openai', [OPENAI_COST_HEADER, line(1, '16')]);
  expect((await check(orgId, 'openai')).cost?.sum.invoiced).toBe('21000000000');
});

test('the same file twice in a row is one import', async () => {
  const orgId = await rig.organization();
  const lines = [OPENAI_COST_HEADER, openaiCost(day(0), 'gpt-5.1, input', '1')];
  const first = await imported(orgId, 'openai', lines);
  const again = await rig.imports.import(orgId, { provider: 'openai', ownKey: null }, fileOf(lines), OWNER);
  expect(again).toEqual({ kind: 'known', import: first });
  expect(await rig.imports.list(orgId)).toEqual([first]);
}); // prettier-ignore

test('the same file is read anew where another key, or none, is named as one’s own', async () => {
  const orgId = await rig.organization();
  const lines = [
    ANTHROPIC_COST_HEADER,
    anthropicCost(day(0), 'claude-haiku-5-5', '1', 'Production'),
    anthropicCost(day(0), 'claude-haiku-5-5', '2', 'Somebody else'),
  ];
  const ownAfter = async (ownKey: string | null) => {
    const options = { provider: 'anthropic', ownKey } as const;
    const { kind } = await rig.imports.import(orgId, options, fileOf(lines), OWNER);
    return [kind, (await check(orgId, 'anthropic')).cost?.sum.invoiced];
  };
  expect(await ownAfter('Production')).toEqual(['imported', '1000000000']);
  expect(await ownAfter('Production')).toEqual(['known', '1000000000']);
  expect(await ownAfter(null)).toEqual(['imported', '3000000000']);
  expect(await ownAfter(null)).toEqual(['known', '3000000000']);
  expect(await ownAfter('Somebody else')).toEqual(['imported', '2000000000']);
});

test('columns may come in any order and case, with quotes, CRLF and a byte order mark', async () => {
  const orgId = await rig.organization();
  await imported(orgId, 'anthropic', [
    '\u{feff}"Cost_USD", Model ,USAGE_DATE_UTC\r',
    `"0.25","claude-haiku-5-5",${day(0)}\r`,
    '',
  ]);
  expect((await check(orgId, 'anthropic')).cost?.sum.invoiced).toBe('250000000');
});

describe('a file that does not mean what is asked for is refused, naming line and column', () => {
  const cost = (changes: (line: string) => string): string[] => [
    OPENAI_COST_HEADER,
    changes(openaiCost(day(0), 'gpt-5.1, input', '1.5')),
  ];
  const cases: readonly [string, InvoiceProvider, readonly string[], RegExp][] = [
    ['an empty file', 'openai', [], /empty/],
    ['only a header', 'openai', [OPENAI_COST_HEADER], /no line/],
    ['of the other provider', 'openai', [ANTHROPIC_COST_HEADER], /Line 1.*amount_value/],
    ['without the model', 'openai', ['start_time,amount_value,amount_currency'], /Line 1: line_item: the column is missing/],
    ['without a currency', 'openai', ['start_time,amount_value,line_item'], /amount_currency: the column is missing/],
    ['with a column twice', 'openai', [`${OPENAI_COST_HEADER},amount_value`], /amount_value: the column is there twice/],
    ['not grouped', 'openai', [OPENAI_COST_HEADER, openaiCost(day(0), '', '1')], /Line 2: line_item: is empty.*line item/],
    ['in euros', 'openai', cost((line) => line.replace('usd', 'eur')), /Line 2: amount_currency/],
    ['a comma amount', 'openai', cost((line) => line.replace('1.5', '"1,5"')), /Line 2: amount_value/],
    ['a lone word for an amount', 'openai', cost((line) => line.replace('1.5', 'n/a')), /Line 2: amount_value/],
    ['a field too few', 'openai', cost((line) => line.slice(0, line.lastIndexOf(','))), /Line 2: it has 8 fields, the header has 9/],
    ['no time', 'openai', cost((line) => line.replaceAll(day(0), 'May')), /Line 2: start_time_iso/],
    ['by month', 'openai', cost((line) => line.replace(`${day(1)}T`, `${day(20)}T`)), /more than one day/],
    ['half tokens', 'openai', [OPENAI_USAGE_HEADER, openaiUsage(day(0), 'gpt-5.1', 0.5, 1)], /Line 2: input_tokens/],
    ['a broken quote', 'anthropic', [ANTHROPIC_COST_HEADER, '"open'], /no CSV: line 2/],
    ['no UTF-8', 'anthropic', [ANTHROPIC_COST_HEADER, 'LATIN'], /UTF-8/],
  ]; // prettier-ignore

  test.each(cases)('%s', async (name, provider, lines, said) => {
    const orgId = await rig.organization();
    const latin = async function* () {
      yield Buffer.concat([Buffer.from(`${ANTHROPIC_COST_HEADER}\n`), Buffer.from([0xe9, 0x0a])]);
    };
    const file = name === 'no UTF-8' ? latin() : fileOf(lines);
    const result = await rig.imports.import(orgId, { provider, ownKey: null }, file, OWNER);
    expect(result).toMatchObject({ kind: 'unreadable', message: expect.stringMatching(said) });
    expect(await rig.imports.list(orgId)).toEqual([]);
  });

  test('a key that the file cannot tell', async () => {
    const orgId = await rig.organization();
    const file = fileOf([OPENAI_COST_HEADER, openaiCost(day(0), 'gpt-5.1, input', '1')]);
    const result = await rig.imports.import(orgId, { provider: 'openai', ownKey: 'key_1' }, file, OWNER);
    expect(result).toMatchObject({ kind: 'unreadable', message: expect.stringContaining('api_key_id') });
  }); // prettier-ignore

  test('more than 64 MiB, without reading on', async () => {
    const orgId = await rig.organization();
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(`${ANTHROPIC_COST_HEADER}\n`);
      const line = Buffer.from(`${anthropicCost(day(0), 'claude', '1')}\n`.repeat(20_000));
      for (;;) {
        taken += line.length;
        yield line;
      }
    }
    const options = { provider: 'anthropic', ownKey: null } as const;
    expect(await rig.imports.import(orgId, options, endless(), OWNER)).toEqual({
      kind: 'too_large',
    });
    expect(taken).toBeLessThan(FILE_BYTES_MAX + 4_000_000);
  }, 30_000);
});

test('nothing of a file is stored but day, model, tokens and amount, and the import is audited', async () => {
  const orgId = await rig.organization();
  await imported(orgId, 'anthropic', [
    `${ANTHROPIC_COST_HEADER},note`,
    `${anthropicCost(day(0), 'claude-haiku-5-5', '1', 'Key of Olga')},secret-note`,
  ]);
  const rows = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ row: string }>(
      `SELECT to_jsonb(l)::text AS row FROM invoice_lines l UNION ALL
       SELECT to_jsonb(i)::text FROM invoice_imports i UNION ALL
       SELECT to_jsonb(a)::text FROM audit_log a WHERE action = 'invoice.imported'`,
    ),
  );
  expect(rows).toHaveLength(3);
  const text = JSON.stringify(rows);
  for (const sign of ['Olga', 'secret-note', 'Default', 'message'])
    expect(text).not.toContain(sign);
});

test("no organization is compared with another's invoices", async () => {
  const [own, foreign] = [await rig.organization(), await rig.organization()];
  await imported(foreign, 'openai', [
    OPENAI_COST_HEADER,
    openaiCost(day(0), 'gpt-5.1, input', '1'),
  ]);
  expect((await check(own, 'openai')).cost).toBeNull();
  expect(await rig.imports.list(own)).toEqual([]);
});
