import { NO_HABITS, type SessionHabits } from '../../../src/domain/routing/session-habits.js';
import type { Provider } from '../../../src/domain/routing/provider.js';
import { PriceBook } from '../../../src/modules/catalog/price-book.js';
import { cacheRulesOf } from '../../../src/modules/session-routing/cache-rules.js';
import {
  fixedCosts,
  observe,
  runPolicy,
  type Pair,
  type SessionCosts,
  type SimulatedModel,
} from './session-simulation.js';
import { FAMILIES, familyName, randomOf, sessionOf, type Family } from './session-traces.js';

const AT_MS = Date.parse('2026-11-20T00:00:00Z');
const NANO_PER_USD = 1e9;
const PROMPT_TOKENS_MAX = 250_000;
/** Sessions that an observation has seen before anything is routed. */
const OBSERVED_SESSIONS = 400;
/** More than the families' own seeds span, so that no two seeds share one. */
const SEED_STEP = 100_000;

const PAIRS: readonly (readonly [Provider, string, Provider, string])[] = [
  ['openai', 'gpt-6.2-sol', 'openai', 'gpt-6.1-terra'],
  ['openai', 'gpt-6.1-terra', 'openai', 'gpt-6-luna'],
  ['openai', 'gpt-5.5', 'openai', 'gpt-5.6-terra'],
  ['openai', 'gpt-4o', 'openai', 'gpt-6-luna'],
  ['anthropic', 'claude-fable-5-2', 'anthropic', 'claude-opus-5-5'],
  ['anthropic', 'claude-opus-5-5', 'anthropic', 'claude-sonnet-5-5'],
  ['anthropic', 'claude-sonnet-5-5', 'anthropic', 'claude-haiku-5-5'],
  ['google', 'gemini-4-argon', 'google', 'gemini-4-hydrogen'],
  ['google', 'gemini-4-hydrogen', 'google', 'gemini-3.8-flash'],
  ['groq', 'openai/gpt-oss-120b', 'groq', 'openai/gpt-oss-20b'],
  ['openai', 'gpt-6.1-terra', 'groq', 'openai/gpt-oss-120b'],
];

const CLOSE_PAIRS: readonly string[] = [
  'gpt-6.2-sol > gpt-6.1-terra',
  'claude-opus-5-5 > claude-sonnet-5-5',
  'gemini-4-argon > gemini-4-hydrogen',
  'gpt-6.1-terra > openai/gpt-oss-120b',
];

export interface RegretRow {
  /** Family, pair, or whatever the rows were put together by. */
  readonly group: string;
  readonly pair: string;
  readonly sessions: number;
  readonly stayNanoUsd: bigint;
  readonly switchNanoUsd: bigint;
  readonly policyNanoUsd: bigint;
  readonly oracleNanoUsd: bigint;
  /** Per session, policy against oracle, in nano-USD and as a share of the oracle's cost. */
  readonly regretsNanoUsd: readonly bigint[];
  readonly regretShares: readonly number[];
  /** Per session, in nano-USD: what the sampling error is told from. */
  readonly costs: readonly SessionCosts[];
}

/** The pairs that the catalog prices, each dear model with one that may take its place. */
export function catalogPairs(): readonly Pair[] {
  const list = new PriceBook().listAt(AT_MS);
  const modelOf = (provider: Provider, model: string): SimulatedModel => {
    const found = list.find((price) => price.provider === provider && price.model === model);
    if (found === undefined) throw new Error(`the catalog has no price for ${model}`);
    return {
      target: { provider, model },
      entry: found.entry,
      cache: cacheRulesOf(provider, model, '5m'),
    };
  };
  return PAIRS.map(([fromProvider, from, toProvider, to]) => ({
    name: `${from} > ${to}`,
    requested: modelOf(fromProvider, from),
    cheaper: modelOf(toProvider, to),
  }));
}

/** What an observation of the application would have learned before anything is routed. */
export function observedHabits(family: Family, seed: number): SessionHabits {
  const random = randomOf(seed);
  let habits: SessionHabits = NO_HABITS;
  for (let seen = 0; seen < OBSERVED_SESSIONS; seen += 1) {
    habits = observe(habits, sessionOf(family, random, PROMPT_TOKENS_MAX));
  }
  return habits;
}

/** Sessions of one application, one after the other: the policy goes on learning as it does in the product. */
export function regretOf(
  family: Family,
  pair: Pair,
  sessions: number,
  seed: number,
  known: SessionHabits,
): RegretRow {
  const random = randomOf(seed);
  const next = () => sessionOf(family, random, PROMPT_TOKENS_MAX);
  let habits = known;
  const totals = { stayNanoUsd: 0n, switchNanoUsd: 0n, policyNanoUsd: 0n, oracleNanoUsd: 0n };
  const regretsNanoUsd: bigint[] = [];
  const regretShares: number[] = [];
  const costs: SessionCosts[] = [];
  for (let done = 0; done < sessions;) {
    const trace = next();
    const run = runPolicy(pair, trace, habits);
    habits = run.habits;
    // A session that ends before it could be routed teaches, and costs everybody the same.
    if (trace.calls.length <= trace.opensAt) continue;
    done += 1;
    const fixed = fixedCosts(pair, trace);
    totals.stayNanoUsd += fixed.stayNanoUsd;
    totals.switchNanoUsd += fixed.switchNanoUsd;
    totals.oracleNanoUsd += fixed.oracleNanoUsd;
    totals.policyNanoUsd += run.costNanoUsd;
    const regret = run.costNanoUsd - fixed.oracleNanoUsd;
    regretsNanoUsd.push(regret);
    costs.push({ ...fixed, policyNanoUsd: run.costNanoUsd });
    regretShares.push(Number(regret) / Number(fixed.oracleNanoUsd));
  }
  return {
    group: familyName(family),
    pair: pair.name,
    sessions,
    ...totals,
    regretsNanoUsd,
    regretShares,
    costs,
  };
}

/**
 * @param observed false: nothing is known of the application's sessions when routing begins.
 * @param seed of all sessions; other seeds are other sessions altogether.
 */
export function simulate(
  sessionsOf: (family: Family) => number,
  observed: boolean,
  seed: number,
  pairs: readonly Pair[] = catalogPairs(),
): readonly RegretRow[] {
  return FAMILIES.flatMap((family, at) => {
    const sessions = sessionsOf(family);
    if (sessions === 0) return [];
    const first = seed * SEED_STEP + 1_000 * (at + 1);
    const habits = observed ? observedHabits(family, first - 1) : NO_HABITS;
    return pairs.map((pair, index) => regretOf(family, pair, sessions, first + index, habits));
  });
}

/** One row for each family and pair, the dearest against the cheaper of always-stay and always-switch first. */
export function worstFirst(rows: readonly RegretRow[]): readonly RegretRow[] {
  const named = grouped(rows, ({ group, pair }) => `${group}: ${pair}`);
  return named.toSorted((a, b) => worstExcess(b) - worstExcess(a));
}

/** Against whichever of the two was the cheaper. */
export function worstExcess(row: RegretRow): number {
  return excess(row.policyNanoUsd, cheaperOf(row));
}

/** The standard error of that excess: what chance alone makes of so few sessions. */
export function samplingError(row: RegretRow): number {
  const isStay = row.stayNanoUsd < row.switchNanoUsd;
  const ratio = 1 + worstExcess(row);
  const squares = row.costs.reduce((sum, { policyNanoUsd, stayNanoUsd, switchNanoUsd }) => {
    const other = Number(isStay ? stayNanoUsd : switchNanoUsd);
    return sum + (Number(policyNanoUsd) - ratio * other) ** 2;
  }, 0);
  return Math.sqrt(squares) / Number(cheaperOf(row));
}

function cheaperOf({ stayNanoUsd, switchNanoUsd }: RegretRow): bigint {
  return stayNanoUsd < switchNanoUsd ? stayNanoUsd : switchNanoUsd;
}

/** Pairs whose prices are near enough that staying, switching and waiting are each right for some sessions. */
export function closePairs(): readonly Pair[] {
  return catalogPairs().filter(({ name }) => CLOSE_PAIRS.includes(name));
}

/** Of sessions with a warm cache to lose. Costs of short and of heavy-tailed ones are so uneven that few show chance. */
export function closeSessions({ opening, gaps, lengths }: Family, sessions: number): number {
  if (opening === 'first' || gaps === 'far') return 0;
  return lengths === 'long' ? Math.round(sessions / 8) : sessions;
}

/** Sums the rows that `keyOf` puts together, in the order of their first. */
export function grouped(
  rows: readonly RegretRow[],
  keyOf: (row: RegretRow) => string,
): readonly RegretRow[] {
  const groups = new Map<string, RegretRow>();
  for (const row of rows) {
    const group = keyOf(row);
    const sum = groups.get(group);
    groups.set(group, sum === undefined ? { ...row, group } : added(sum, row));
  }
  return [...groups.values()];
}

function added(a: RegretRow, b: RegretRow): RegretRow {
  return {
    group: a.group,
    pair: '',
    sessions: a.sessions + b.sessions,
    stayNanoUsd: a.stayNanoUsd + b.stayNanoUsd,
    switchNanoUsd: a.switchNanoUsd + b.switchNanoUsd,
    policyNanoUsd: a.policyNanoUsd + b.policyNanoUsd,
    oracleNanoUsd: a.oracleNanoUsd + b.oracleNanoUsd,
    regretsNanoUsd: [...a.regretsNanoUsd, ...b.regretsNanoUsd],
    regretShares: [...a.regretShares, ...b.regretShares],
    costs: [...a.costs, ...b.costs],
  };
}

/** By how much the policy is dearer (negative: cheaper), as a share. */
export function excess(policyNanoUsd: bigint, otherNanoUsd: bigint): number {
  return Number(policyNanoUsd) / Number(otherNanoUsd) - 1;
}

export function regretTable(title: string, rows: readonly RegretRow[]): string {
  const width = Math.max(...rows.map(({ group }) => group.length), title.length);
  const heads = [
    'sessions',
    'vs stay',
    'vs switch',
    'vs oracle',
    'regret mean $',
    'p95 $',
    'p95 %',
    'error %',
  ];
  const lines = rows.map((row) => {
    const regrets = row.regretsNanoUsd.map(Number).toSorted((a, b) => a - b);
    const mean = regrets.reduce((sum, regret) => sum + regret, 0) / regrets.length;
    const shares = row.regretShares.toSorted((a, b) => a - b);
    return [
      String(row.sessions),
      percent(excess(row.policyNanoUsd, row.stayNanoUsd)),
      percent(excess(row.policyNanoUsd, row.switchNanoUsd)),
      percent(excess(row.policyNanoUsd, row.oracleNanoUsd)),
      (mean / NANO_PER_USD).toFixed(4),
      (quantile(regrets, 0.95) / NANO_PER_USD).toFixed(4),
      percent(quantile(shares, 0.95)),
      percent(samplingError(row)),
    ];
  });
  const cells = (texts: readonly string[]) => texts.map((text) => text.padStart(14)).join('');
  return [
    title.padEnd(width) + cells(heads),
    ...lines.map((line, at) => (rows[at]?.group ?? '').padEnd(width) + cells(line)),
    '',
  ].join('\n');
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? 0;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
