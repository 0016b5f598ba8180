import { parseExactUsd, roundedToNano, type ExactUsd } from '../../domain/reports/exact-usd.js';
import type { CsvRow } from '../../domain/reports/csv-lines.js';

/** Providers whose exports are read, and what an export is of: dollars, or tokens. */
export type InvoiceProvider = 'openai' | 'anthropic';
export type ExportKind = 'cost' | 'usage';

/** What is kept of an export: nothing but day, model, tokens and amount. */
export interface InvoiceLine {
  /** UTC, `2026-11-20`. */
  readonly day: string;
  /** As the provider names it. */
  readonly model: string;
  /** The line is of another key than the one that was named at the import. */
  readonly otherKey: boolean;
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  /** Rounded once, as the sum of its lines; null in an export of tokens. */
  readonly amountNanoUsd: bigint | null;
}

export interface ReadExport {
  readonly kind: ExportKind;
  readonly lines: readonly InvoiceLine[];
  readonly rows: number;
  /** First and last day that the export speaks of, days without a charge included. */
  readonly fromDay: string;
  readonly toDay: string;
}

/** What is wrong with a file, naming line and column. */
export class UnreadableExport extends Error {
  override readonly name = 'UnreadableExport';
}

/** Different days and models of one file. */
const LINES_MAX = 50_000;
const MODEL_CHARS_MAX = 200;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Years that an export may speak of, in milliseconds: from 2020 on. */
const DAY_MS_MIN = 1_577_836_800_000;
const DAY_MS_MAX = 253_402_300_800_000;

/** Names of columns, the first of which is there is taken. */
interface Format {
  readonly kind: ExportKind;
  /** It is this format if this column is there. */
  readonly sign: string;
  readonly day: readonly string[];
  readonly dayEnd: readonly string[];
  readonly model: readonly string[];
  readonly amount: string | null;
  readonly currency: string | null;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly key: readonly string[];
  /** The model stands before a comma: `gpt-5.1-2025-11-13, cached input`. */
  readonly modelBeforeComma: boolean;
}

const TIMES = {
  day: ['start_time_iso', 'start_time'],
  dayEnd: ['end_time_iso', 'end_time'],
} as const;

/** In the order in which they are tried. docs/reports.md says where they are from. */
const FORMATS: Readonly<Record<InvoiceProvider, readonly Format[]>> = {
  openai: [
    {
      ...TIMES,
      kind: 'cost',
      sign: 'amount_value',
      model: ['line_item'],
      amount: 'amount_value',
      currency: 'amount_currency',
      input: [],
      output: [],
      key: ['api_key_id'],
      modelBeforeComma: true,
    },
    {
      ...TIMES,
      kind: 'usage',
      sign: 'input_tokens',
      model: ['model'],
      amount: null,
      currency: null,
      // Cached tokens are a part of them.
      input: ['input_tokens'],
      output: ['output_tokens'],
      key: ['api_key_id'],
      modelBeforeComma: false,
    },
  ],
  anthropic: [
    {
      kind: 'cost',
      sign: 'cost_usd',
      day: ['usage_date_utc'],
      dayEnd: [],
      model: ['model', 'model_version'],
      amount: 'cost_usd',
      currency: null,
      input: [],
      output: [],
      key: ['api_key'],
      modelBeforeComma: false,
    },
    {
      kind: 'usage',
      sign: 'usage_output_tokens',
      day: ['usage_date_utc'],
      dayEnd: [],
      model: ['model_version', 'model'],
      amount: null,
      currency: null,
      input: [
        'usage_input_tokens_no_cache',
        'usage_input_tokens_cache_write_5m',
        'usage_input_tokens_cache_write_1h',
        'usage_input_tokens_cache_read',
      ],
      output: ['usage_output_tokens'],
      key: ['api_key'],
      modelBeforeComma: false,
    },
  ],
};

interface Columns {
  readonly count: number;
  readonly day: number;
  readonly dayEnd: number | null;
  readonly model: number;
  readonly amount: number | null;
  readonly currency: number | null;
  readonly input: readonly number[];
  readonly output: readonly number[];
  readonly key: number | null;
}

interface Sum {
  inputTokens: bigint;
  outputTokens: bigint;
  amount: ExactUsd;
}

/** Takes the rows of an export one after the other, and keeps sums by day and model. */
export class ProviderExportReader {
  #format: Format | null = null;
  #columns: Columns | null = null;
  #rows = 0;
  #days: { from: string; to: string } | null = null;
  readonly #sums = new Map<string, { day: string; model: string; otherKey: boolean; sum: Sum }>();

  /** @param ownKey the provider key that calls go through, as the export names it; without it every line counts as its own. */
  constructor(
    private readonly provider: InvoiceProvider,
    private readonly ownKey: string | null,
  ) {}

  take(row: CsvRow): void {
    if (this.#columns === null) this.#readHeader(row);
    else this.#readRow(row, this.#columns);
  }

  finish(): ReadExport {
    const { kind } = this.#format ?? fail(1, 'the file is empty');
    if (this.#days === null) throw new UnreadableExport('The export has no line below its header.');
    const lines = [...this.#sums.values()].map(({ day, model, otherKey, sum }) => ({
      day,
      model,
      otherKey,
      inputTokens: sum.inputTokens,
      outputTokens: sum.outputTokens,
      amountNanoUsd: kind === 'cost' ? roundedToNano(sum.amount) : null,
    }));
    return { kind, lines, rows: this.#rows, fromDay: this.#days.from, toDay: this.#days.to };
  }

  #readHeader({ line, fields }: CsvRow): void {
    const names = fields.map((field) =>
      field
        .trim()
        .toLowerCase()
        .replace(/[\s-]+/g, '_'),
    );
    const formats = FORMATS[this.provider];
    const format = formats.find(({ sign }) => names.includes(sign));
    if (format === undefined) {
      const signs = formats.map(({ sign, kind }) => `${sign} (${kind} export)`).join(' or ');
      return fail(line, `this is no export of ${this.provider}: it has no column ${signs}`);
    }
    this.#format = format;
    this.#columns = columnsOf(names, format, line, this.ownKey !== null);
  }

  #readRow({ line, fields }: CsvRow, columns: Columns): void {
    const format = this.#format ?? fail(line, 'no header');
    if (fields.length !== columns.count) {
      fail(line, `it has ${fields.length} fields, the header has ${columns.count}`);
    }
    const field = (column: number): string => (fields[column] ?? '').trim();
    const day = dayOf(line, format, columns, field);
    this.#rows += 1;
    const known = this.#days;
    this.#days = {
      from: known === null || day < known.from ? day : known.from,
      to: known === null || day > known.to ? day : known.to,
    };
    // A day on which nothing was charged or used: its cells are empty.
    const figures = [columns.amount, ...columns.input, ...columns.output].filter(
      (at) => at !== null,
    );
    if (figures.every((at) => field(at) === '')) return;
    const model = modelOf(line, format, field(columns.model));
    const otherKey =
      columns.key !== null && this.ownKey !== null && field(columns.key) !== this.ownKey;
    const sum = this.#sumOf(line, day, model, otherKey);
    if (columns.currency !== null && field(columns.currency).toLowerCase() !== 'usd') {
      fail(line, `${format.currency}: only usd is read`);
    }
    if (columns.amount !== null) {
      sum.amount +=
        parseExactUsd(field(columns.amount)) ??
        fail(line, `${format.amount}: is no amount in dollars such as 0.0125`);
    }
    for (const [i, at] of columns.input.entries()) {
      sum.inputTokens += tokens(line, format.input[i] ?? '', field(at));
    }
    for (const [i, at] of columns.output.entries()) {
      sum.outputTokens += tokens(line, format.output[i] ?? '', field(at));
    }
  }

  #sumOf(line: number, day: string, model: string, otherKey: boolean): Sum {
    const key = `${day} ${otherKey ? 'other' : 'own'} ${model}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known.sum;
    if (this.#sums.size >= LINES_MAX) fail(line, `it has more than ${LINES_MAX} days and models`);
    const sum = { inputTokens: 0n, outputTokens: 0n, amount: 0n };
    this.#sums.set(key, { day, model, otherKey, sum });
    return sum;
  }
}

function columnsOf(
  names: readonly string[],
  format: Format,
  line: number,
  needsKey: boolean,
): Columns {
  const at = (name: string): number | null => {
    const found = names.indexOf(name);
    if (found !== names.lastIndexOf(name)) fail(line, `${name}: the column is there twice`);
    return found === -1 ? null : found;
  };
  const first = (wanted: readonly string[]): number | null => {
    for (const name of wanted) if (at(name) !== null) return at(name);
    return null;
  };
  const required = (wanted: readonly string[]): number =>
    first(wanted) ?? fail(line, `${wanted.join(' or ')}: the column is missing`);
  const key = first(format.key);
  if (needsKey && key === null) {
    fail(line, `${format.key.join(' or ')}: the column is missing, so a key cannot be told apart`);
  }
  return {
    count: names.length,
    day: required(format.day),
    dayEnd: first(format.dayEnd),
    model: required(format.model),
    amount: format.amount === null ? null : required([format.amount]),
    currency: format.currency === null ? null : required([format.currency]),
    input: format.input.map((name) => required([name])),
    output: format.output.map((name) => required([name])),
    key,
  };
}

function dayOf(
  line: number,
  format: Format,
  columns: Columns,
  field: (column: number) => string,
): string {
  const name = format.day.join(' or ');
  const fromMs = timeOf(field(columns.day)) ?? fail(line, `${name}: is no time`);
  if (columns.dayEnd !== null) {
    const toMs = timeOf(field(columns.dayEnd)) ?? fail(line, `${format.dayEnd[0]}: is no time`);
    // What is given by week or month cannot be told by day.
    if (toMs - fromMs > DAY_MS || Math.floor((toMs - 1) / DAY_MS) !== Math.floor(fromMs / DAY_MS)) {
      fail(line, `${format.dayEnd[0]}: the line is of more than one day (UTC); export it by day`);
    }
  }
  return new Date(fromMs).toISOString().slice(0, 10);
}

/** Milliseconds since the epoch; a day without a time, and a time without a zone, are UTC's. */
function timeOf(text: string): number | null {
  let ms: number;
  if (/^\d{9,11}$/.test(text)) ms = Number(text) * 1000;
  else if (/^\d{4}-\d{2}-\d{2}$/.test(text)) ms = Date.parse(`${text}T00:00:00Z`);
  else if (/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$/.test(text)) {
    ms = Date.parse(`${text.replace(' ', 'T')}Z`);
  } else if (
    /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})$/.test(text)
  ) {
    ms = Date.parse(text.replace(' ', 'T'));
  } else return null;
  return ms >= DAY_MS_MIN && ms < DAY_MS_MAX ? ms : null;
}

function modelOf(line: number, format: Format, text: string): string {
  const name = format.model.join(' or ');
  const comma = format.modelBeforeComma ? text.indexOf(',') : -1;
  const model = (comma === -1 ? text : text.slice(0, comma)).trim();
  if (model === '') {
    const hint = format.modelBeforeComma ? '; group the export by line item' : '';
    fail(line, `${name}: is empty, so the model is not known${hint}`);
  }
  if (model.length > MODEL_CHARS_MAX || /\p{Cc}/u.test(model)) fail(line, `${name}: is no name`);
  return model;
}

function tokens(line: number, name: string, text: string): bigint {
  if (text === '') return 0n;
  if (!/^\d{1,18}$/.test(text)) fail(line, `${name}: is no whole number of tokens`);
  return BigInt(text);
}

function fail(line: number, reason: string): never {
  throw new UnreadableExport(`Line ${line}: ${reason}.`);
}
