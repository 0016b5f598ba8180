import type { Target } from '../routing/decision.js';
import { SAME_TOKENIZER, type TokenizerRatio } from './baseline-usage.js';

/**
 * Models that count alike, each with where that is known from. A change of this table is a new `BASELINE_METHOD`. A model in none of them counts like itself and nothing
 * else is known of it.
 */
const FAMILIES: readonly {
  readonly family: string;
  readonly provider: Target['provider'];
  readonly models: RegExp;
}[] = [
  // One encoding since gpt-4o, and the one by which every OpenAI call without usage is estimated (modules/tokenizer).
  { family: 'o200k', provider: 'openai', models: /^(?:gpt-(?:4o|4\.1|5|6)|o[34])(?:[-.]|$)/ },
  { family: 'o200k', provider: 'groq', models: /^openai\/gpt-oss-/ },
  // A generation of a provider has one tokenizer; between generations only what the provider says is known.
  {
    family: 'claude-4',
    provider: 'anthropic',
    models: /^claude-(?:opus|sonnet|haiku)-4-[56](?:-|$)/,
  },
  {
    family: 'claude-5',
    provider: 'anthropic',
    models: /^claude-(?:(?:opus|sonnet)-5|fable-5(?:-[12])?)$/,
  },
  { family: 'claude-5.5', provider: 'anthropic', models: /^claude-(?:opus|sonnet|haiku)-5-5$/ },
  { family: 'gemini-2.5', provider: 'google', models: /^gemini-2\.5-/ },
  { family: 'gemini-3', provider: 'google', models: /^gemini-3(?:\.\d)?-/ },
  { family: 'gemini-4', provider: 'google', models: /^gemini-4-/ },
  { family: 'qwen-3', provider: 'groq', models: /^qwen\/qwen3-/ },
];

/**
 * How many tokens `dividend` counts where `divisor` counts one. From what providers publish: Claude's page on what is
 * new in Haiku 5.5 has it count some 30 % more tokens than Haiku 4.5.
 */
const BETWEEN: readonly {
  readonly dividend: string;
  readonly divisor: string;
  readonly ratio: TokenizerRatio;
}[] = [
  { dividend: 'claude-5.5', divisor: 'claude-4', ratio: { numerator: 13n, denominator: 10n } },
];

/** A snapshot counts like its model. */
const SNAPSHOT = /-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/;

/**
 * How many tokens the baseline makes of what the served model made one of: 1 within a family, null where nobody knows.
 * A call whose ratio is not known has no savings, and is counted as unpriceable.
 */
export function tokenizerRatio(baseline: Target, served: Target): TokenizerRatio | null {
  const [of, per] = [nameOf(baseline), nameOf(served)];
  if (baseline.provider === served.provider && of === per) return SAME_TOKENIZER;
  const [family, servedFamily] = [familyOf(baseline.provider, of), familyOf(served.provider, per)];
  if (family === null || servedFamily === null) return null;
  if (family === servedFamily) return SAME_TOKENIZER;
  for (const { dividend, divisor, ratio } of BETWEEN) {
    if (dividend === family && divisor === servedFamily) return ratio;
    if (dividend === servedFamily && divisor === family) {
      return { numerator: ratio.denominator, denominator: ratio.numerator };
    }
  }
  return null;
}

function nameOf({ model }: Target): string {
  return model.replace(/^models\//, '').replace(SNAPSHOT, '');
}

function familyOf(provider: Target['provider'], name: string): string | null {
  const found = FAMILIES.find((entry) => entry.provider === provider && entry.models.test(name));
  return found?.family ?? null;
}
