import { describe, expect, test } from 'vitest';
import { canonicalJson, type Canonical } from './canonical-json.js';
import { CsvReader, UnreadableCsv, spreadsheetText } from './csv-lines.js';
import { DEFAULT_GOAL, evidencePlan, labelsNeeded } from './evidence-plan.js';
import { parseExactUsd, roundedToNano } from './exact-usd.js';
import { modelKey, percentOf, residualsOf } from './invoice-residual.js';

test('a value has one text, whatever the order of its members', () => {
  expect(canonicalJson({ b: [1, null, true], a: { z: 'ü"\n', y: '1' } })).toBe(
    '{"a":{"y":"1","z":"ü\\"\\n"},"b":[1,null,true]}',
  );
  for (const wrong of [0.5, 2 ** 53, Number.NaN, -0, [Infinity]] as Canonical[]) {
    expect(() => canonicalJson(wrong)).toThrow(TypeError);
  }
});

describe('amounts of an export', () => {
  test('are read exactly, and rounded once as a sum', () => {
    const nano = (text: string) => roundedToNano(parseExactUsd(text) ?? -1n);
    expect(nano('0.8958740000000000')).toBe(895_874_000n);
    expect(nano('1.2e-05')).toBe(12_000n);
    expect(nano('12')).toBe(12_000_000_000n);
    expect(nano('-3.5E+1')).toBe(-35_000_000_000n);
    const third = parseExactUsd('0.0000000003') ?? 0n;
    expect([roundedToNano(third), roundedToNano(third * 5n)]).toEqual([0n, 2n]);
  });

  test('are refused where they are no plain number', () => {
    for (const text of ['', ' ', '1,5', '$1', '1e99', 'NaN', '0x1', '1.', '.5', '1e-41', '--1']) {
      expect(parseExactUsd(text), text).toBeNull();
    }
  });
});

describe('CSV', () => {
  const read = (pieces: readonly string[]) => {
    const reader = new CsvReader();
    return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  };
  const text = '\u{feff}a,"b ""x"",\ny",\r\n\r\n,"",é🙂\n"last"';

  test('is the same in pieces of any size', () => {
    const expected = [
      { line: 1, fields: ['a', 'b "x",\ny', ''] },
      { line: 4, fields: ['', '', 'é🙂'] },
      { line: 5, fields: ['last'] },
    ];
    for (const size of [1, 2, 3, 7, 1_000]) {
      const chars = [...text];
      const pieces = Array.from({ length: Math.ceil(chars.length / size) }, (_, i) =>
        chars.slice(i * size, (i + 1) * size).join(''),
      );
      expect(read(pieces)).toEqual(expected);
    }
    expect(read([])).toEqual([]);
    expect(read(['""'])).toEqual([{ line: 1, fields: [''] }]);
  });

  test('that is broken is refused with its line', () => {
    for (const [broken, line] of [
      ['a\n"open', 2],
      ['a\nb"c', 2],
      ['"a"b', 1],
      ['a\rb', 1],
      [`${',x'.repeat(300)}`, 1],
      [`a\n${'x'.repeat(10_001)}`, 2],
    ] as const) {
      expect(() => read([broken])).toThrow(UnreadableCsv);
      expect(() => read([broken])).toThrow(new RegExp(`^line ${line}:`));
    }
  });

  test('cells that a spreadsheet would calculate are texts', () => {
    for (const cell of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', "'x"]) {
      expect(spreadsheetText(cell)).toBe(`'${cell}`);
    }
    for (const cell of ['', 'gpt-5', 'a=b', ' =1']) expect(spreadsheetText(cell)).toBe(cell);
  });
});

describe('the invoice', () => {
  test('is matched by day and model, however the provider writes its name', () => {
    expect(modelKey('Claude Sonnet 4.5')).toBe(modelKey('claude-sonnet-4-5-20250929'));
    expect(modelKey('gpt-5.1-2025-11-13')).toBe(modelKey('gpt-5.1'));
    expect(modelKey('gpt-5.1')).not.toBe(modelKey('gpt-5.1-mini'));
    expect(modelKey('models/gemini-3.5-flash')).toBe('gemini-3-5-flash');
  });

  test('leaves a residual per day and model, and what one side alone knows', () => {
    const found = residualsOf(
      [
        { day: '2026-11-02', model: 'gpt-5.1', amount: 900n },
        { day: '2026-11-01', model: 'gpt-5.1-2025-11-13', amount: 600n },
        { day: '2026-11-01', model: 'gpt-5.1-2025-11-13', amount: 400n },
        { day: '2026-11-01', model: 'whisper-1', amount: 50n },
      ],
      [
        { day: '2026-11-01', model: 'gpt-5.1', amount: 1_003n },
        { day: '2026-11-02', model: 'gpt-5.1', amount: 900n },
        { day: '2026-11-02', model: 'o4', amount: 7n },
      ],
    );
    expect(found.lines.map((l) => [l.day, l.model, l.seen, l.residual, l.percent])).toEqual([
      ['2026-11-01', 'gpt-5-1', 'both', -3n, '-0.30'],
      ['2026-11-01', 'whisper-1', 'invoice_only', 50n, '100.00'],
      ['2026-11-02', 'gpt-5-1', 'both', 0n, '0.00'],
      ['2026-11-02', 'o4', 'log_only', -7n, null],
    ]);
    expect(found).toMatchObject({ invoiceOnly: 50n, logOnly: -7n });
    expect(found.sum).toEqual({ invoiced: 1_950n, logged: 1_910n, residual: 40n, percent: '2.05' });
    expect(percentOf(1n, 0n)).toBeNull();
  });
});

describe('the plan for evidence', () => {
  test('asks for as many labels as the bound needs', () => {
    // With no loss at all it is the rule of three: ln(0.05) / ln(1 - tolerance).
    expect(labelsNeeded({ toleranceBp: 500, confidenceBp: 9_500, expectedLossBp: 0 })).toBe(59);
    expect(labelsNeeded({ toleranceBp: 100, confidenceBp: 9_500, expectedLossBp: 0 })).toBe(299);
    // 95 % / 95 % with 4 failures, as in the tables of attribute sampling plans.
    expect(labelsNeeded(DEFAULT_GOAL)).toBe(181);
    expect(labelsNeeded({ ...DEFAULT_GOAL, expectedLossBp: 500 })).toBeNull();
    expect(labelsNeeded({ ...DEFAULT_GOAL, expectedLossBp: 499 })).toBeNull();
  });

  test('says dollars, days and what 30 days could save', () => {
    const day = 86_400_000;
    expect(
      evidencePlan(234, { calls: 1_000, spendNanoUsd: 9_000n, candidateNanoUsd: 2_000n, periodMs: 10 * day }),
    ).toEqual({
      method: 'one-sided-clopper-pearson-1',
      labels: 234,
      costNanoUsd: 468n,
      days: 3,
      savingPer30DaysNanoUsd: 21_000n,
    }); // prettier-ignore
    expect(
      evidencePlan(1, { calls: 0, spendNanoUsd: 0n, candidateNanoUsd: 0n, periodMs: day }),
    ).toBeNull();
  });
});
