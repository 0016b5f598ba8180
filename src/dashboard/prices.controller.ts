import { Body, Get, Inject, Post, Query } from '@nestjs/common';
import { z } from 'zod';
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
  NegotiatedPriceService,
  type EnteredAgreement,
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
import { PriceBook } from '../modules/catalog/price-book.js';
import { systemClock } from '../platform/clock.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { unknown } from './resource-id.js';

const AMOUNT_CHARS_MAX = 40;
const NAMES = Object.values(PRICE_NAMES).map(memberOf);
const AMOUNT = 'takes dollars per million as text, such as "1.20", with up to nine decimals';

const PROVIDER = z.enum(PROVIDERS, `takes ${PROVIDERS.join(', ')}`);
const MODEL = z
  .string('takes the name of a model')
  .trim()
  .min(1, 'takes the name of a model')
  .max(PRICED_MODEL_CHARS_MAX, `takes up to ${PRICED_MODEL_CHARS_MAX} characters`);
const FILTER = z.strictObject({ provider: PROVIDER.optional(), model: MODEL.optional() });
const NEW_AGREEMENT = z.strictObject({
  provider: PROVIDER,
  model: MODEL,
  from: z
    .string('takes a day such as 2026-12-01')
    .refine((text) => readDay(text) !== null, 'takes a day such as 2026-12-01'),
  prices: z
    .partialRecord(
      z.enum(NAMES, `takes ${NAMES.join(', ')}`),
      z
        .string(AMOUNT)
        .max(AMOUNT_CHARS_MAX, AMOUNT)
        .superRefine((text, context) => {
          const { kind } = readPrice(text);
          if (kind === 'not_an_amount') context.addIssue(AMOUNT);
          if (kind === 'too_much') context.addIssue('is more than a dollar for each');
        }),
    )
    .refine((prices) => Object.keys(prices).length > 0, 'names no price'),
});

/** List prices in force, and what the organization agreed with providers; amounts are exact dollars, as text. */
@DashboardController('api/prices')
export class PricesController {
  #book: PriceBook | null = null;

  constructor(@Inject(NegotiatedPriceService) private readonly prices: NegotiatedPriceService) {}

  @Get()
  @Needs('organization.read')
  async list(@CurrentMember() { orgId }: Member, @Query() query: unknown) {
    const filter = readBody(FILTER, query);
    const nowMs = systemClock.nowMs();
    const book = this.#priceBook();
    const shown = filterOf(book, filter.provider, filter.model);
    const entered = (await this.prices.list(orgId)).filter(shown);
    return {
      unit: PRICE_UNIT,
      version: book.version,
      list: book
        .listAt(nowMs)
        .filter(shown)
        .map((listed) => ({
          provider: listed.provider,
          model: listed.model,
          since: listed.entry.effectiveFromMs <= 0 ? null : formatDay(listed.entry.effectiveFromMs),
          tiers: tiersOf(listed.entry).map(tierJson),
        })),
      agreements: entered.map((agreement) => ({
        ...agreementJson(agreement),
        state: memberOf(agreementState(agreement, entered, nowMs)),
        entered_by: agreement.enteredBy,
        entered_at: agreement.enteredAt,
      })),
    };
  }

  /** A second entry for the same day corrects the first. Calls that are recorded already keep their price. */
  @Post()
  @Needs('prices.change')
  async enter(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const given = readBody(NEW_AGREEMENT, body);
    const agreement = {
      provider: given.provider,
      model: given.model,
      effectiveFromMs: readDay(given.from) ?? 0,
      prices: unitPricesFrom(given.prices),
      tiers: [],
    };
    return agreed(await this.prices.enter(orgId, agreement, actor));
  }

  /** Made at first use: it is large, and most processes are never asked. */
  #priceBook(): PriceBook {
    return (this.#book ??= new PriceBook());
  }
}

function unitPricesFrom(given: Readonly<Record<string, string | undefined>>): UnitPrices {
  const prices: Partial<Record<PriceDimension, bigint>> = {};
  for (const dimension of PRICE_DIMENSIONS) {
    const read = readPrice(given[memberOf(PRICE_NAMES[dimension])] ?? '');
    if (read.kind === 'price') prices[dimension] = read.nanoUsd;
  }
  return prices;
}

function agreed(result: EnteredAgreement) {
  switch (result.kind) {
    case 'entered':
      return agreementJson(result.agreement);
    case 'not_found':
      throw unknown('organization');
    case 'too_many':
      throw new HttpError(
        409,
        'too_many_prices',
        `The organization has ${NEGOTIATED_PRICES_MAX} agreements in force or to come: that is the limit.`,
      );
  }
}

function filterOf(
  book: PriceBook,
  provider: Provider | undefined,
  model: string | undefined,
): (price: { readonly provider: Provider; readonly model: string }) => boolean {
  return (price) => {
    if (provider !== undefined && price.provider !== provider) return false;
    if (model === undefined || price.model === model) return true;
    const known = book.canonicalModel(price.provider, model);
    return known !== null && known === book.canonicalModel(price.provider, price.model);
  };
}

function agreementJson(agreement: NegotiatedPrices) {
  return {
    provider: agreement.provider,
    model: agreement.model,
    from: formatDay(agreement.effectiveFromMs),
    revision: agreement.revision,
    tiers: tiersOf(agreement).map(tierJson),
  };
}

function tierJson({ abovePromptTokens, prices }: PriceTier) {
  const members = Object.entries(namedPrices(prices)).map(([name, usd]) => [memberOf(name), usd]);
  return {
    above_prompt_tokens: abovePromptTokens,
    prices: Object.fromEntries(members) as Record<string, string>,
  };
}

function memberOf(name: string): string {
  return name.replaceAll(/[- ]/g, '_');
}
