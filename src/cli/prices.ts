import { formatUsd, type NanoUsd } from '../domain/money/nano-usd.js';
import type { PriceTier } from '../domain/pricing/model-prices.js';
import type { NegotiatedPrices } from '../domain/pricing/negotiated-prices.js';
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
import {
  PRICED_MODEL_CHARS_MAX,
  PRICE_NAMES,
  PRICE_UNIT,
  agreementState,
  formatDay,
  namedPrices,
  readDay,
  readPrice,
  tiersOf,
} from '../modules/catalog/negotiated-price-terms.js';
import type { EnteredPrices } from '../modules/catalog/negotiated-prices.store.js';
import { PriceBook, type ListPrice } from '../modules/catalog/price-book.js';
import { CliError, requiredText, text, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

/** The dimensions with a column of their own; the others share one. */
const COLUMNS = ['inputTokens', 'cacheReadTokens', 'outputTokens'] as const;

const PRICE_OPTIONS = Object.fromEntries(
  Object.values(PRICE_NAMES).map((name) => [name, { type: 'string' as const }]),
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
      state: agreementState(agreement, entered, nowMs),
    }));
    return {
      json: {
        unit: PRICE_UNIT,
        version: book.version,
        list: prices.flatMap(listJson),
        agreements: agreements.flatMap(agreementJson),
      },
      text: [
        `List prices ${book.version}, for the normal service tier. ${PRICE_UNIT}.\n`,
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
    'recorded already keep their price; where the day is past, the savings ledger gets adjustments of theirs.',
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
    const result = await session.negotiatedPrices.enter(organization.id, agreement, session.actor);
    switch (result.kind) {
      case 'entered': {
        const { provider, model, revision } = result.agreement;
        const json = agreementMembers(result.agreement);
        const prices = pairsOf(agreement.prices, PRICE_DIMENSIONS);
        const said = `Entered for "${organization.name}": ${provider} ${model} from ${json.from}, revision ${revision}: ${prices}.`;
        const applied = 'Every replica applies this to new calls within a second.';
        const notes = [...nameNote(agreement), applied, ...pastNote(agreement, Date.now())];
        return { json, text: [said, ...notes].join('\n') };
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
  if (model.length > PRICED_MODEL_CHARS_MAX) {
    throw new CliError(`--model takes up to ${PRICED_MODEL_CHARS_MAX} characters.`, 2);
  }
  const effectiveFromMs = dayFrom(requiredText(args, 'from'));
  const prices: Partial<Record<PriceDimension, NanoUsd>> = {};
  for (const dimension of PRICE_DIMENSIONS) {
    const given = text(args, PRICE_NAMES[dimension]);
    if (given !== undefined) prices[dimension] = priceFrom(given.trim(), PRICE_NAMES[dimension]);
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
  const startMs = readDay(given);
  if (startMs !== null) return startMs;
  throw new CliError('--from takes a day such as 2026-12-01.', 2);
}

function priceFrom(given: string, name: string): NanoUsd {
  const read = readPrice(given);
  switch (read.kind) {
    case 'price':
      return read.nanoUsd;
    case 'not_an_amount':
      throw new CliError(
        `--${name} takes dollars per million, such as 1.20, with up to nine decimals.`,
        2,
      );
    case 'too_much':
      throw new CliError(
        `--${name} is more than a dollar for each: it takes dollars per million.`,
        2,
      );
  }
}

/** A name that the list lacks, or knows as another, may be meant, or be a mistake. */
function nameNote({ provider, model }: NewAgreement): string[] {
  const known = new PriceBook().canonicalModel(provider, model);
  if (known === model) return [];
  return known === null
    ? ['The list has no such model: only what was named has a price.']
    : [`It holds for calls answered as ${model}; for every name of the model enter ${known}.`];
}

/** What was said in the ledger with other prices is not changed: something is added to it. */
function pastNote({ effectiveFromMs }: NewAgreement, nowMs: number): string[] {
  if (effectiveFromMs > nowMs) return [];
  return [
    'Entries of the savings ledger since that day that say another price are adjusted within the hour, dated then:',
    'npm run shunt -- savings',
  ];
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

interface DatedAgreement {
  readonly agreement: EnteredPrices;
  readonly state: string;
}

function listTable(prices: readonly ListPrice[]): string {
  const rows = prices.flatMap(({ provider, model, entry }) =>
    tiersOf(entry).map((tier) => [
      provider,
      model,
      entry.effectiveFromMs <= 0 ? '-' : formatDay(entry.effectiveFromMs),
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
      formatDay(agreement.effectiveFromMs),
      String(agreement.revision),
      state,
      ...priceCells(tier),
    ]),
  );
  return table(['provider', 'model', 'from', 'revision', 'state', ...PRICE_HEADINGS], rows);
}

const PRICE_HEADINGS = ['prompts', ...COLUMNS.map((dimension) => PRICE_NAMES[dimension]), 'other'];

function priceCells({ abovePromptTokens, prices }: PriceTier): string[] {
  const others = PRICE_DIMENSIONS.filter((dimension) => !COLUMNS.some((own) => own === dimension));
  return [
    abovePromptTokens === 0 ? 'all' : `> ${abovePromptTokens}`,
    ...COLUMNS.map((dimension) => usd(prices[dimension])),
    pairsOf(prices, others),
  ];
}

function listJson({ provider, model, entry }: ListPrice) {
  const since = entry.effectiveFromMs <= 0 ? null : formatDay(entry.effectiveFromMs);
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
    from: formatDay(agreement.effectiveFromMs),
    revision,
    ...tierJson({ abovePromptTokens: 0, prices }),
  };
}

function tierJson({ abovePromptTokens, prices }: PriceTier) {
  return { abovePromptTokens, prices: namedPrices(prices) };
}

function pairsOf(prices: UnitPrices, dimensions: readonly PriceDimension[]): string {
  return dimensions
    .filter((dimension) => prices[dimension] !== undefined)
    .map((dimension) => `${PRICE_NAMES[dimension]} ${usd(prices[dimension])}`)
    .join(', ');
}

function otherOptions(): string[] {
  const shown = new Set(['input', 'output']);
  return Object.values(PRICE_NAMES)
    .filter((name) => !shown.has(name))
    .map((name) => `--${name}`);
}

function usd(price: NanoUsd | undefined): string {
  return price === undefined ? '-' : formatUsd(price);
}

export const priceCommands: readonly Command[] = [list, set];
