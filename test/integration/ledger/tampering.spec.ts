import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashEntry, HASHED_COLUMNS } from '../../../src/modules/ledger/ledger-encoding.js';
import { LEDGER_CSV_COLUMNS } from '../../../src/modules/ledger/ledger-csv.js';
import type { SignedLedgerHead } from '../../../src/modules/ledger/ledger-heads.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { ledgerRig, type LedgerRig } from './ledger-rig.js';
import { variedEntryOf } from './ledger-samples.js';

let rig: LedgerRig;
let orgId: string;
let early: SignedLedgerHead;
let honest: string;

/** Entries 1-10, 11-30 and 31-40 are under three seals, 41-45 under none yet. */
beforeAll(async () => {
  rig = await ledgerRig();
  ({ orgId } = await rig.db.createTenant());
  let made = 0;
  for (const count of [10, 20, 10, 5]) {
    const entries = Array.from({ length: count }, (_, i) => variedEntryOf(orgId, made + i));
    await rig.append(orgId, entries);
    made += count;
    if (count !== 5) await rig.sealer().sealDue();
    if (made === 30) early = (await rig.heads().current(orgId))!;
  }
  honest = await rig.csv(orgId);
});
afterAll(() => rig?.close());

const earlyHead = (): string => `${early.seal}:${early.hash}`;

/** What both verifiers say of a ledger that its owner changed. */
async function found(statements: readonly string[], head?: string) {
  return rig.tampered(orgId, statements, async (database: Database) => {
    const [seal, hash] = head?.split(':') ?? [];
    const earlier = hash === undefined ? null : { seal: Number(seal), hash };
    const { broken, entries } = await rig.verifier(database).verify(orgId, earlier);
    const csv = await rig.csv(orgId, database);
    const script = rig.script(csv, ...(head === undefined ? [] : ['--head', head]));
    return { broken, entries, script };
  });
}

test('an honest ledger holds for both, through an earlier head too', async () => {
  const { broken, entries, script } = await found([], earlyHead());
  expect([broken, entries]).toEqual([null, 45]);
  expect(script).toMatchObject({ exitCode: 0, holds: true, entries: 45, sealed_entries: 40 });
  expect(early).toMatchObject({ seal: 2, entries: 30 });
  const { head, totals } = await rig.verifier().verify(orgId);
  expect(script.head).toBe(`${head.seal}:${head.hash}`);
  for (const name of ['real', 'auto', 'synthetic'] as const) {
    expect(script.totals[name]).toEqual({
      entries: totals[name].entries,
      actual_nano_usd: String(totals[name].actualNanoUsd),
      baseline_nano_usd: String(totals[name].baselineNanoUsd),
      savings_nano_usd: String(totals[name].savingsNanoUsd),
    });
  }
});

/** One digit, or as little as a column can change. */
const CHANGES: Readonly<Record<(typeof HASHED_COLUMNS)[number] | 'entry_hash', string>> = {
  org_id: '',
  seq: 'seq = 1000',
  request_id: `request_id = overlay(request_id::text placing
      (CASE right(request_id::text, 1) WHEN '1' THEN '2' ELSE '1' END) from 36)::uuid`,
  kind: `kind = 'adjustment'`,
  attempt: 'attempt = attempt + 1',
  at_ms: 'at_ms = at_ms + 1',
  project_id: `project_id = overlay(project_id::text placing '1' from 36)::uuid`,
  synthetic: 'synthetic = NOT synthetic',
  auto: 'auto = NOT auto',
  decision_source: `decision_source = 'session'`,
  decision_id: `decision_id = decision_id || '1'`,
  baseline_provider: `baseline_provider = 'groq'`,
  baseline_model: `baseline_model = 'gpt-7-sol'`,
  served_provider: `served_provider = 'groq'`,
  served_model: `served_model = 'gpt-6-lunb'`,
  usage: `usage = jsonb_set(usage, '{outputTokens}', to_jsonb((usage ->> 'outputTokens')::int + 1))`,
  served_prices: `served_prices = jsonb_set(served_prices, '{inputTokens}', '"300000000"')`,
  served_price_version: `served_price_version = '2026-11-20.2'`,
  actual_nano_usd: 'actual_nano_usd = actual_nano_usd - 1',
  baseline_usage: `baseline_usage = jsonb_set(baseline_usage, '{inputTokens}', '123456')`,
  baseline_method: `baseline_method = 'baseline-2'`,
  baseline_prices: `baseline_prices = jsonb_set(baseline_prices, '{inputTokens}', '"3000000000"')`,
  baseline_price_version: `baseline_price_version = '2026-11-20.2'`,
  baseline_nano_usd: 'baseline_nano_usd = baseline_nano_usd + 1',
  savings_nano_usd: 'savings_nano_usd = savings_nano_usd + 1',
  entry_hash: 'entry_hash = set_byte(entry_hash, 31, (get_byte(entry_hash, 31) + 1) % 256)',
};
const NAMED: Readonly<Record<string, string>> = {
  usage: 'actual_nano_usd',
  served_prices: 'actual_nano_usd',
  actual_nano_usd: 'actual_nano_usd',
  baseline_usage: 'baseline_nano_usd',
  baseline_prices: 'baseline_nano_usd',
  baseline_nano_usd: 'baseline_nano_usd',
  savings_nano_usd: 'savings_nano_usd',
};

describe('a change in one column of one entry is found at its place by both', () => {
  const changes = Object.entries(CHANGES).filter(([, sql]) => sql !== '' && !sql.startsWith('seq'));
  test.each(changes)('%s', async (column, sql) => {
    const seq = 23;
    const { broken, script } = await found([`UPDATE savings_ledger SET ${sql} WHERE seq = ${seq}`]);
    const field = NAMED[column] ?? 'entry_hash';
    expect(broken).toMatchObject({ in: 'entry', seq, field });
    expect(script).toMatchObject({ exitCode: 1, entries: 22 });
    expect(script.first_difference).toMatchObject({
      row: 'entry',
      seq: String(seq),
      field: field === 'entry_hash' ? 'hash' : field,
    });
  });

  test('also in one that is under no seal yet', async () => {
    const { broken, script } = await found([`UPDATE savings_ledger SET at_ms = 7 WHERE seq = 43`]);
    expect(broken).toMatchObject({ fault: 'changed', seq: 43 });
    expect(script.first_difference).toMatchObject({ row: 'entry', seq: '43', field: 'hash' });
  });
});

describe('rows that were taken away, moved or put there are found by both', () => {
  test('a deleted entry', async () => {
    const { broken, script } = await found(['DELETE FROM savings_ledger WHERE seq = 17']);
    expect(broken).toEqual({ fault: 'missing', in: 'entry', seq: 17, field: null });
    expect(script.first_difference).toMatchObject({ seq: '18', what: 'entry 17 is missing' });
  });

  test('a deleted tail, where its seals or its head say that there was one', async () => {
    const sealed = await found(['DELETE FROM savings_ledger WHERE seq > 35']);
    expect(sealed.broken).toEqual({ fault: 'missing', in: 'entry', seq: 36, field: null });
    expect(sealed.script.first_difference).toMatchObject({ row: 'seal', seq: '3' });
    const unsealed = await found(['DELETE FROM savings_ledger WHERE seq > 42']);
    expect(unsealed.broken).toEqual({ fault: 'missing', in: 'entry', seq: 43, field: null });
    expect(unsealed.script.first_difference?.what).toBe('entry 43 is missing');
  });

  const CUT = [
    'DELETE FROM savings_ledger WHERE seq > 10',
    'DELETE FROM seals WHERE seq > 1',
    'UPDATE ledger_heads SET seq = 10',
  ];
  test('a tail that was deleted with its seals and its head, by an earlier head', async () => {
    expect((await found(CUT)).broken).toBeNull();
    const { broken, script } = await found(CUT, earlyHead());
    expect(broken).toEqual({ fault: 'missing', in: 'seal', seq: 2, field: null });
    expect(script).toMatchObject({ exitCode: 1, first_difference: { row: 'end' } });
    expect(script.first_difference?.what).toContain('seal 2 is missing');
  });

  test('two entries that were swapped', async () => {
    const swap = [
      'UPDATE savings_ledger SET seq = 999 WHERE seq = 20',
      'UPDATE savings_ledger SET seq = 20 WHERE seq = 21',
      'UPDATE savings_ledger SET seq = 21 WHERE seq = 999',
    ];
    const { broken, script } = await found(swap);
    expect(broken).toEqual({ fault: 'changed', in: 'entry', seq: 20, field: 'entry_hash' });
    expect(script.first_difference).toMatchObject({ seq: '20', field: 'hash' });
  });

  test('a forged entry with a hash of its own, in the range of a seal and after the last', async () => {
    const forged = { ...(await rowOf(23)), decision_id: 'forged' };
    const within = await found([
      `UPDATE savings_ledger SET decision_id = 'forged', entry_hash = decode('${hashEntry(forged)}', 'hex') WHERE seq = 23`,
    ]);
    expect(within.broken).toEqual({ fault: 'changed', in: 'seal', seq: 2, field: 'root' });
    expect(within.script.first_difference).toMatchObject({
      row: 'seal',
      seq: '2',
      field: 'seal_root',
    });
    const added = { ...(await rowOf(45)), seq: '46', attempt: '9' };
    const after = await found([
      `INSERT INTO savings_ledger SELECT (jsonb_populate_record(l, jsonb_build_object('seq', 46, 'attempt', 9,
         'entry_hash', '\\x${hashEntry(added)}'))).* FROM savings_ledger l WHERE seq = 45`,
    ]);
    expect(after.broken).toEqual({ fault: 'head_mismatch', in: 'head', seq: 45, field: 'seq' });
    expect(after.script.first_difference).toMatchObject({ row: 'end', seq: '45' });
  });

  async function rowOf(seq: number) {
    const columns = HASHED_COLUMNS.map((column) => `${column}::text`).join(', ');
    const [row] = await rig.db.database.tenant(orgId, (q) =>
      q.query<Record<(typeof HASHED_COLUMNS)[number], string>>(
        `SELECT ${columns} FROM savings_ledger WHERE seq = $1`,
        [seq],
      ),
    );
    return row!;
  }
});

describe('a changed seal is found by both', () => {
  test.each([
    ['root', 'root = set_byte(root, 0, (get_byte(root, 0) + 1) % 256)', 'root', 'seal_root'],
    ['prev', 'prev = set_byte(prev, 0, (get_byte(prev, 0) + 1) % 256)', 'prev', 'seal_prev'],
    ['hash', 'hash = set_byte(hash, 0, (get_byte(hash, 0) + 1) % 256)', 'hash', 'hash'],
    ['time', `sealed_at = sealed_at + interval '1 millisecond'`, 'hash', 'hash'],
    ['begin', `range = int8range(12, upper(range))`, 'range', 'seal_first'],
    ['end', `range = int8range(lower(range), upper(range) - 1)`, 'range', 'seal_last'],
    [
      'signature',
      `signature = overlay(signature placing
         (CASE substr(signature, 20, 1) WHEN 'A' THEN 'B' ELSE 'A' END) from 20)`,
      'signature',
      'signature',
    ],
  ])('in its %s', async (_what, sql, field, column) => {
    const { broken, script } = await found([`UPDATE seals SET ${sql} WHERE seq = 2`]);
    if (_what === 'end') {
      // It then stands before the entry that it no longer covers: both say so at the seal after it or at itself.
      expect(broken).toMatchObject({ in: 'seal', seq: 2 });
      expect(script.first_difference).toMatchObject({ row: 'seal', seq: '2' });
      return;
    }
    expect(broken).toMatchObject({ in: 'seal', seq: 2, field });
    expect(script.first_difference).toMatchObject({ row: 'seal', seq: '2', field: column });
  });

  test('one that was taken away, from the middle or the end', async () => {
    const middle = await found(['DELETE FROM seals WHERE seq = 2']);
    expect(middle.broken).toEqual({ fault: 'missing', in: 'seal', seq: 2, field: null });
    expect(middle.script.first_difference).toMatchObject({ what: 'seal 2 is missing' });
    const { seal, hash } = (await rig.heads().current(orgId))!;
    const end = await found(['DELETE FROM seals WHERE seq = 3'], `${seal}:${hash}`);
    expect(end.broken).toEqual({ fault: 'missing', in: 'seal', seq: 3, field: null });
    expect(end.script.exitCode).toBe(1);
  });
});

describe('a changed file is found by the script alone', () => {
  /** As the file has them; the texts that are quoted in it are left to the tests above. */
  const lines = (): string[] => honest.split('\n');

  test('one digit or letter in each column, at its line', () => {
    const columns = LEDGER_CSV_COLUMNS;
    const at = 19;
    const fields = /("(?:[^"]|"")*"|[^,]*)(?:,|$)/g;
    const missed: string[] = [];
    let tried = 0;
    for (const [index, column] of columns.entries()) {
      const changed = lines();
      const parts = [...changed[at]!.matchAll(fields)].map((match) => match[1]!);
      const value = parts[index]!;
      const next = value.replace(/[0-9a-z](?=[^0-9a-z]*$)/, (c) => (c === '1' ? '2' : '1'));
      if (next === value) continue;
      tried += 1;
      parts[index] = next;
      changed[at] = parts.slice(0, columns.length).join(',');
      const { exitCode, first_difference: first } = rig.script(changed.join('\n'));
      if (exitCode !== 1 || first?.line !== at + 1) missed.push(column);
    }
    expect(missed).toEqual([]);
    expect(tried).toBe(27);
  });

  test('a line that is gone, two that are swapped, an end that is cut off', () => {
    const without = lines().toSpliced(19, 1).join('\n');
    expect(rig.script(without).first_difference).toMatchObject({
      line: 20,
      what: 'entry 18 is missing',
    });
    const swapped = lines();
    [swapped[18], swapped[19]] = [swapped[19]!, swapped[18]!];
    expect(rig.script(swapped.join('\n')).first_difference).toMatchObject({ line: 19 });
    const cut = lines().slice(0, -2).join('\n');
    expect(rig.script(`${cut}\n`).first_difference?.what).toContain('cut off');
    const shorter = [...lines().slice(0, -3), ...lines().slice(-2)].join('\n');
    expect(rig.script(shorter).first_difference).toMatchObject({ row: 'end', field: 'seq' });
  });

  test('an end that was written anew without the key', () => {
    const forged = lines();
    forged[forged.length - 2] = forged.at(-2)!.replace(/.{86}(?=,[0-9a-f]{16}$)/, 'A'.repeat(86));
    expect(rig.script(forged.join('\n')).first_difference).toMatchObject({
      row: 'end',
      field: 'signature',
    });
  });

  test('that went through another head than the one that was kept', () => {
    const head = `${early.seal}:${early.hash.replace(/.$/, (c) => (c === '0' ? '1' : '0'))}`;
    expect(rig.script(honest, '--head', head).first_difference).toMatchObject({
      row: 'seal',
      seq: '2',
    });
    const signed = {
      org_id: orgId,
      seal: early.seal,
      entries: early.entries,
      hash: early.hash,
      sealed_at: early.sealedAt,
      signature: early.signature,
    };
    const good = rig.file('head.json', JSON.stringify(signed));
    expect(rig.script(honest, '--head-file', good).exitCode).toBe(0);
    const bad = rig.file('bad.json', JSON.stringify({ ...signed, entries: 29 }));
    expect(() => rig.script(honest, '--head-file', bad)).toThrow(/signature of the head/);
  });

  test('but not line ends that another program has changed', () => {
    expect(rig.script(honest.replaceAll('\n', '\r\n')).exitCode).toBe(0);
  });
});
