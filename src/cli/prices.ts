import { formatUsd, parseUsd, type NanoUsd } from '../domain/money/nano-usd.js';
import type { PriceTier } from '../domain/pricing/model-prices.js';
import { negotiatedAt, type NegotiatedPrices } from '../domain/pricing/negotiated-prices.js';
import {
  PRICE_DIMENSIONS,
  type PriceDimension,
  type UnitPrices,
} from '../domain/pricing/unit-prices.js';
import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import {
  NEGOTIATED_PRICES_MAX,
  type NewAgreement,
} from '../modules/catalog/negotiated-price.service.js';
import type { EnteredPrices } from '../modules/catalog/negotiated-prices.store.js';
import { PriceBook, type ListPrice } from '../modules/catalog/price-book.js';
import { CliError, requiredText, text, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

const MODEL_CHARS_MAX = 200;
/** A dollar a token: anything above is an amount in the wrong unit. */
const PRICE_NANO_USD_MAX = parseUsd('1000000') ?? 0n;
const DATE = /^20\d\d-\d\d-\d\d$/;
const ENTERED_BY = 'command line';
const UNIT = 'Dollars per million tokens, of searches and fetches per million calls';

/** What prices are called here: options of `prices set`, and members of what `--json` prints. */
const NAMES: Readonly<Record<PriceDimension, string>> = {
  inputTokens: 'input',
  cacheReadTokens: 'cache-read',
  cacheReadAudioTokens: 'cache-read-audio',
  cacheWrite5mTokens: 'cache-write-5m',
  cacheWrite30mTokens: 'cache-write-30m',
  cacheWrite1hTokens: 'cache-write-1h',
  cacheWrite12hTokens: 'cache-write-12h',
  audioInputTokens: 'audio-input',
  imageInputTokens: 'image-input',
  outputTokens: 'output',
  audioOutputTokens: 'audio-output',
  imageOutputTokens: 'image-output',
  webSearchCalls: 'web-search',
  webFetchCalls: 'web-fetch',
};
/** The dimensions with a column of their own; the others share one. */
const COLUMNS = ['inputTokens', 'cacheReadTokens', 'outputTokens'] as const;

const PRICE_OPTIONS = Object.fromEntries(
  Object.values(NAMES).map((name) => [name, { type: 'string' as const }]),
);

const ORG = '--org <id or name>    the organization; not needed while there is only one';

const list: Command = {
  name: 'prices list',
  summary: 'List the prices in force and what an organization agreed',
  usage: [
    ORG,
    `--provider <provider> ${PROVIDERS.join(', ')}`,
    '--model <model>       one model, by any of its names',
  ],
  options: { org: { type: 'string' }, provider: { type: 'string' }, model: { type: 'string' } },
  async run(session, args) {
    const provider = text(args, 'provider');
    const book = new PriceBook();
    const shown = filterOf(book, provider && providerFrom(provider), text(args, 'model'));
    const organization = await chosenOrganization(session, args);
    const nowMs = Date.now();
    const prices = book.listAt(nowMs).filter(shown);
    const entered = (await session.negotiatedPrices.list(organization.id)).filter(shown);
    const agreements = entered.map((agreement) => ({
      agreement,
      state: stateOf(agreement, entered, nowMs),
    }));
    return {
      json: {
        unit: UNIT,
        version: book.version,
        list: prices.flatMap(listJson),
        agreements: agreements.flatMap(agreementJson),
      },
      text: [
        `List prices ${book.version}, for the normal service tier. ${UNIT}.\n`,
        prices.length > 0 ? listTable(prices) : 'The list has no such model.',
        `\nAgreements of "${organization.name}"${agreements.length > 0 ? ':\n' : ': none.'}`,
        ...(agreements.length > 0 ? [agreementTable(agreements)] : []),
      ].join('\n'),
    };
  },
};

const set: Command = {
  name: 'prices set',
  summary: 'Enter what an organization agreed with a provider for a model',
  usage: [
    ORG,
    `--provider <provider> ${PROVIDERS.join(', ')}`,
    '--model <model>       as "prices list" shows it; another name of it means calls answered under that name',
    '--from <YYYY-MM-DD>   the first day (UTC); a second entry for the same day corrects the first',
    '--input <usd>         dollars per million tokens, such as 1.20, with up to nine decimals',
    `--output <usd>        the same; also ${otherOptions().join(', ')}`,
    'What is not named has the price of the list, whatever an earlier agreement said. What is named holds for',
    'prompts of any length; the factors of the list for service tier, speed and region stay. Calls that are',
    'recorded already keep their price.',
  ],
  options: {
    org: { type: 'string' },
    provider: { type: 'string' },
    model: { type: 'string' },
    from: { type: 'string' },
    ...PRICE_OPTIONS,
  },
  async run(session, args) {
    const agreement = agreementFrom(args);
    const organization = await chosenOrganization(session, args);
    const result = await session.negotiatedPrices.enter(organization.id, agreement, ENTERED_BY);
    switch (result.kind) {
      case 'entered': {
        const { provider, model, revision } = result.agreement;
        const json = agreementMembers(result.agreement);
        const prices = pairsOf(agreement.prices, PRICE_DIMENSIONS);
        const said = `Entered for "${organization.name}": ${provider} ${model} from ${json.from}, revision ${revision}: ${prices}.`;
        const applied = 'Every replica applies this to new calls within a second.';
        return { json, text: [said, ...nameNote(agreement), applied].join('\n') };
      }
      case 'not_found':
        throw new CliError('The organization is no longer there.');
      case 'too_many':
        throw new CliError(
          `The organization has ${NEGOTIATED_PRICES_MAX} agreements in force or to come: that is the limit.`,
        );
    }
  },
};

/** What `prices set` was given. Throws a `CliError` that says what is wrong with it. */
export function agreementFrom(args: Arguments): NewAgreement {
  const provider = providerFrom(requiredText(args, 'provider'));
  const model = requiredText(args, 'model');
  if (model.length > MODEL_CHARS_MAX) {
    throw new CliError(`--model takes up to ${MODEL_CHARS_MAX} characters.`, 2);
  }
  const effectiveFromMs = dayFrom(requiredText(args, 'from'));
  const prices: Partial<Record<PriceDimension, NanoUsd>> = {};
  for (const dimension of PRICE_DIMENSIONS) {
    const given = text(args, NAMES[dimension]);
    if (given !== undefined) prices[dimension] = priceFrom(given.trim(), NAMES[dimension]);
  }
  if (Object.keys(prices).length === 0) {
    throw new CliError('No price is named: give --input, --output or others, as --help shows.', 2);
  }
  return { provider, model, effectiveFromMs, prices, tiers: [] };
}

function providerFrom(name: string): Provider {
  const provider = PROVIDERS.find((known) => known === name);
  if (provider !== undefined) return provider;
  throw new CliError(`"${name}" is not a provider: ${PROVIDERS.join(', ')}.`, 2);
}

function dayFrom(given: string): number {
  const startMs = DATE.test(given) ? Date.parse(`${given}T00:00:00Z`) : Number.NaN;
  // A 30th of February is read as one of March.
  if (!Number.isNaN(startMs) && day(startMs) === given) return startMs;
  throw new CliError('--from takes a day such as 2026-12-01.', 2);
}

function priceFrom(given: string, name: string): NanoUsd {
  const price = parseUsd(given);
  if (price === null || price < 0n) {
    throw new CliError(
      `--${name} takes dollars per million, such as 1.20, with up to nine decimals.`,
      2,
    );
  }
  if (price > PRICE_NANO_USD_MAX) {
    throw new CliError(
      `--${name} is more than a dollar for each: it takes dollars per million.`,
      2,
    );
  }
  return price;
}

/** A name that the list lacks, or knows as another, may be meant, or be a mistake. */
function nameNote({ provider, model }: NewAgreement): string[] {
  const known = new PriceBook().canonicalModel(provider, model);
  if (known === model) return [];
  return known === null
    ? ['The list has no such model: only what was named has a price.']
    : [`It holds for calls answered as ${model}; for every name of the model enter ${known}.`];
}

function filterOf(
  book: PriceBook,
  provider: Provider | '' | undefined,
  model: string | undefined,
): (price: { readonly provider: Provider; readonly model: string }) => boolean {
  return (price) => {
    if (provider && price.provider !== provider) return false;
    if (model === undefined || price.model === model) return true;
    const known = book.canonicalModel(price.provider, model);
    return known !== null && known === book.canonicalModel(price.provider, price.model);
  };
}

function stateOf(
  agreement: EnteredPrices,
  all: readonly EnteredPrices[],
  nowMs: number,
): 'in force' | 'to come' | 'replaced' {
  const { provider, model, effectiveFromMs } = agreement;
  const atMs = Math.max(nowMs, effectiveFromMs);
  if (negotiatedAt(all, provider, [model], atMs) !== agreement) return 'replaced';
  return effectiveFromMs > nowMs ? 'to come' : 'in force';
}

interface DatedAgreement {
  readonly agreement: EnteredPrices;
  readonly state: string;
}

function listTable(prices: readonly ListPrice[]): string {
  const rows = prices.flatMap(({ provider, model, entry }) =>
    tiersOf(entry).map((tier) => [
      provider,
      model,
      entry.effectiveFromMs <= 0 ? '-' : day(entry.effectiveFromMs),
      ...priceCells(tier),
    ]),
  );
  return table(['provider', 'model', 'since', ...PRICE_HEADINGS], rows);
}

function agreementTable(agreements: readonly DatedAgreement[]): string {
  const rows = agreements.flatMap(({ agreement, state }) =>
    tiersOf(agreement).map((tier) => [
      agreement.provider,
      agreement.model,
      day(agreement.effectiveFromMs),
      String(agreement.revision),
      state,
      ...priceCells(tier),
    ]),
  );
  return table(['provider', 'model', 'from', 'revision', 'state', ...PRICE_HEADINGS], rows);
}

const PRICE_HEADINGS = ['prompts', ...COLUMNS.map((dimension) => NAMES[dimension]), 'other'];

function priceCells({ abovePromptTokens, prices }: PriceTier): string[] {
  const others = PRICE_DIMENSIONS.filter((dimension) => !COLUMNS.some((own) => own === dimension));
  return [
    abovePromptTokens === 0 ? 'all' : `> ${abovePromptTokens}`,
    ...COLUMNS.map((dimension) => usd(prices[dimension])),
    pairsOf(prices, others),
  ];
}

function tiersOf(entry: { readonly prices: UnitPrices; readonly tiers: readonly PriceTier[] }) {
  const tiers = entry.tiers.toSorted((a, b) => a.abovePromptTokens - b.abovePromptTokens);
  return [{ abovePromptTokens: 0, prices: entry.prices }, ...tiers];
}

function listJson({ provider, model, entry }: ListPrice) {
  const since = entry.effectiveFromMs <= 0 ? null : day(entry.effectiveFromMs);
  const { source } = entry;
  return tiersOf(entry).map((tier) => ({ provider, model, since, ...tierJson(tier), source }));
}

function agreementJson({ agreement, state }: DatedAgreement) {
  const { enteredBy, enteredAt } = agreement;
  return tiersOf(agreement).map((tier) => ({
    ...agreementMembers(agreement),
    ...tierJson(tier),
    state,
    enteredBy,
    enteredAt,
  }));
}

function agreementMembers(agreement: NegotiatedPrices) {
  const { provider, model, revision, prices } = agreement;
  return {
    provider,
    model,
    from: day(agreement.effectiveFromMs),
    revision,
    ...tierJson({ abovePromptTokens: 0, prices }),
  };
}

function tierJson({ abovePromptTokens, prices }: PriceTier) {
  const named = PRICE_DIMENSIONS.filter((dimension) => prices[dimension] !== undefined);
  const members = named.map((dimension) => [NAMES[dimension], usd(prices[dimension])]);
  return { abovePromptTokens, prices: Object.fromEntries(members) as Record<string, string> };
}

function pairsOf(prices: UnitPrices, dimensions: readonly PriceDimension[]): string {
  return dimensions
    .filter((dimension) => prices[dimension] !== undefined)
    .map((dimension) => `${NAMES[dimension]} ${usd(prices[dimension])}`)
    .join(', ');
}

function otherOptions(): string[] {
  const shown = new Set(['input', 'output']);
  return Object.values(NAMES)
    .filter((name) => !shown.has(name))
    .map((name) => `--${name}`);
}

function usd(price: NanoUsd | undefined): string {
  return price === undefined ? '-' : formatUsd(price);
}

function day(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

export const priceCommands: readonly Command[] = [list, set];
