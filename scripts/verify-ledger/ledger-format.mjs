/*
 * The format of an exported savings ledger: columns, numbers, encoding and the one formula of a cost. As
 * docs/savings-ledger.md describes it.
 */
import { createHash } from 'node:crypto';

export const HASHED = [
  ...['org_id', 'seq', 'request_id', 'kind', 'attempt', 'at_ms', 'project_id', 'synthetic', 'auto'],
  ...['decision_source', 'decision_id', 'baseline_provider', 'baseline_model', 'served_provider'],
  ...['served_model', 'usage', 'served_prices', 'served_price_version', 'actual_nano_usd'],
  ...['baseline_usage', 'baseline_method', 'baseline_prices', 'baseline_price_version'],
  ...['baseline_nano_usd', 'savings_nano_usd'],
];
export const COLUMNS = [
  'row',
  ...HASHED.map((column) => (column === 'at_ms' ? 'at' : column)),
  ...[
    'hash',
    'seal_first',
    'seal_last',
    'seal_root',
    'seal_prev',
    'sealed_at',
    'signature',
    'key_id',
  ],
];
const NUMBERS = new Set([
  ...['seq', 'attempt', 'actual_nano_usd', 'baseline_nano_usd', 'savings_nano_usd'],
  ...['seal_first', 'seal_last'],
]);
export const OF_SEALS = COLUMNS.slice(COLUMNS.indexOf('seal_first'));
const PRICED = new Set([
  ...['inputTokens', 'cacheReadTokens', 'cacheReadAudioTokens', 'cacheWrite5mTokens'],
  ...['cacheWrite30mTokens', 'cacheWrite1hTokens', 'cacheWrite12hTokens', 'audioInputTokens'],
  ...['imageInputTokens', 'outputTokens', 'audioOutputTokens', 'imageOutputTokens'],
  ...['webSearchCalls', 'webFetchCalls'],
]);
export const CHAIN_START = '0'.repeat(64);
const LINE_CHARS_MAX = 262_144;

/** The first difference: where it is, in which field, and what stands there instead of what. */
export class Difference extends Error {
  constructor(what, field, found = null, expected = null) {
    super(what);
    Object.assign(this, { what, field, found, expected });
  }
}

export const sha256 = (data) => createHash('sha256').update(data).digest('hex');
export const hashFields = (fields) =>
  sha256(fields.map((field) => `${Buffer.byteLength(field)}:${field},`).join(''));
export const lines = (...texts) => texts.map((text) => `${text}\n`).join('');

/** The fields of one line, or null where its quotes do not add up. */
function fieldsOf(line) {
  const fields = [];
  for (let at = 0; ;) {
    let field = '';
    if (line[at] === '"') {
      for (at += 1; ; at += 2) {
        const quote = line.indexOf('"', at);
        if (quote < 0) return null;
        field += line.slice(at, quote);
        at = quote;
        if (line[quote + 1] !== '"') break;
        field += '"';
      }
      at += 1;
    } else {
      const comma = line.indexOf(',', at);
      field = line.slice(at, comma < 0 ? undefined : comma);
      at += field.length;
    }
    fields.push(field);
    if (at >= line.length) return fields;
    if (line[at] !== ',') return null;
    at += 1;
  }
}

export function recordOf(line) {
  if (line.length > LINE_CHARS_MAX) throw new Difference('the line is too long', null);
  const fields = fieldsOf(line);
  if (fields?.length !== COLUMNS.length) {
    throw new Difference('the line does not have the columns of a ledger', null);
  }
  const record = {};
  COLUMNS.forEach((column, index) => {
    const field = fields[index];
    const isText = !NUMBERS.has(column);
    // What was put in front of text for the sake of spreadsheets is taken away again.
    record[column] = isText && field.startsWith("'") ? field.slice(1) : field;
    if (!isText && field !== '' && !/^(?:0|-?[1-9]\d{0,38})$/.test(field)) {
      throw new Difference('not a whole number in its one form', column, field);
    }
    if (isText && /^[=+\-@\t\r]/.test(field))
      throw new Difference('not neutralised', column, field);
  });
  return record;
}

function divideHalfEven(dividend, divisor) {
  const quotient = dividend / divisor;
  const rest = dividend % divisor;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  const goesUp = twice > divisor || (twice === divisor && quotient % 2n !== 0n);
  return goesUp ? quotient + (dividend < 0n ? -1n : 1n) : quotient;
}

function objectOf(text, column) {
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw new Difference('not an object', column, text);
}

/** Sum of units x unit price / 1,000,000, rounded once, half to even. */
export function costOf(record, usageColumn, pricesColumn) {
  const usage = objectOf(record[usageColumn], usageColumn);
  const prices = objectOf(record[pricesColumn], pricesColumn);
  const form = record.kind === 'adjustment' ? /^-?[1-9]\d{0,29}$|^0$/ : /^(?:0|[1-9]\d{0,29})$/;
  for (const [dimension, price] of Object.entries(prices)) {
    if (!PRICED.has(dimension) || typeof price !== 'string' || !form.test(price)) {
      throw new Difference(`not a price: ${dimension}`, pricesColumn, String(price));
    }
  }
  let total = 0n;
  for (const [dimension, units] of Object.entries(usage)) {
    const isKnown = PRICED.has(dimension) || dimension === 'reasoningTokens';
    if (!isKnown || !Number.isSafeInteger(units) || units < 0) {
      throw new Difference(`not a count: ${dimension}`, usageColumn, String(units));
    }
    // Reasoning is a part of the output.
    if (units === 0 || dimension === 'reasoningTokens') continue;
    if (!Object.hasOwn(prices, dimension)) {
      throw new Difference(`no price for ${dimension}`, pricesColumn);
    }
    total += BigInt(units) * BigInt(prices[dimension]);
  }
  return divideHalfEven(total, 1_000_000n);
}

export function timeOf(record) {
  const ms = Date.parse(record.at);
  const isExact = Number.isFinite(ms) && new Date(ms).toISOString() === record.at;
  if (!isExact) throw new Difference('not a time', 'at', record.at);
  return String(ms);
}

export function sameOrDiffer(what, field, found, expected) {
  if (found !== expected) throw new Difference(what, field, found, expected);
}
