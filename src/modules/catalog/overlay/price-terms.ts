import { ONE } from '../../../domain/pricing/model-prices.js';
import type { PricedWords, PriceTerms, Ratio } from '../../../domain/pricing/model-prices.js';

/** A word that is not here has no price: contract tiers (`scale`, Anthropic's `priority`), `ultrafast`. */

export function ratio(numerator: bigint, denominator: bigint = 1n): Ratio {
  return { numerator, denominator };
}

const HALF = ratio(1n, 2n);
const DOUBLE = ratio(2n);
const NO_WORDS: PricedWords = new Map();

function words(normal: readonly string[], priced: Readonly<Record<string, Ratio>>): PricedWords {
  return new Map([
    ...normal.map((word) => [word, ONE] as const),
    ...Object.entries(priced).map(([word, value]) => [word, value] as const),
  ]);
}

/** Source: od:pricing (flex, batch, data residency); priority differs by model, see `faster-service.ts`. */
export function openaiTerms(priority: Ratio): PriceTerms {
  const regional = ratio(11n, 10n);
  return {
    serviceTier: words(['default', 'auto', 'standard'], {
      flex: HALF,
      batch: HALF,
      priority,
      fast: priority,
    }),
    speed: words(['standard', 'default'], { fast: priority }),
    region: words(['global'], {
      regional,
      us: regional,
      eu: regional,
      gb: regional,
      au: regional,
      ca: regional,
      in: regional,
      jp: regional,
      kr: regional,
      sg: regional,
      ae: regional,
    }),
  };
}

export const OPENAI_TERMS = openaiTerms(DOUBLE);

/** Source: ad:pricing (batch, fast mode, data residency); they stack. */
export function anthropicTerms(fast: Ratio): PriceTerms {
  return {
    serviceTier: words(['standard', 'standard_only', 'auto'], { batch: HALF }),
    speed: words(['standard'], { fast }),
    region: words(['global', 'not_available'], { us: ratio(11n, 10n) }),
  };
}

export const ANTHROPIC_TERMS = anthropicTerms(DOUBLE);

/** Source: gd:pricing. The upper-case words are `trafficType`, which Vertex sends in place of a tier. */
export const GOOGLE_TERMS: PriceTerms = {
  serviceTier: words(
    ['standard', 'unspecified', 'default', 'auto', 'ON_DEMAND', 'TRAFFIC_TYPE_UNSPECIFIED'],
    {
      flex: HALF,
      batch: HALF,
      priority: ratio(9n, 5n),
      ON_DEMAND_FLEX: HALF,
      ON_DEMAND_PRIORITY: ratio(9n, 5n),
    },
  ),
  speed: NO_WORDS,
  region: words(['global'], {}),
};

/** Source: qd:flex-processing: flex has higher limits at the on-demand price. */
export const GROQ_TERMS: PriceTerms = {
  serviceTier: words(['on_demand', 'auto', 'default', 'flex'], { batch: HALF }),
  speed: NO_WORDS,
  region: NO_WORDS,
};
