/** One call of a synthetic session. */
export interface TraceCall {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface SessionTrace {
  readonly calls: readonly TraceCall[];
  /** The first call that could be routed; those before went to the model asked for. */
  readonly opensAt: number;
  /** Whether the application leaves the prefix as it was; a time stamp in the system prompt would not. */
  readonly stablePrefix: boolean;
}

export type Lengths = 'short' | 'long' | 'heavy';
export type Gaps = 'close' | 'bursty' | 'far';
export type Opening = 'first' | 'middle';

/** Sessions of one kind of application. */
export interface Family {
  readonly lengths: Lengths;
  readonly gaps: Gaps;
  readonly opening: Opening;
  readonly stablePrefix: boolean;
}

export const FAMILIES: readonly Family[] = [
  ...(['short', 'long', 'heavy'] as const).flatMap((lengths) =>
    (['close', 'bursty', 'far'] as const).flatMap((gaps) =>
      (['first', 'middle'] as const).map((opening): Family => ({
        lengths,
        gaps,
        opening,
        stablePrefix: true,
      })),
    ),
  ),
  { lengths: 'long', gaps: 'close', opening: 'middle', stablePrefix: false },
];

export const familyName = ({ lengths, gaps, opening, stablePrefix }: Family): string =>
  `${lengths}, ${gaps}, ${opening}${stablePrefix ? '' : ', changing prefix'}`;

const TURNS_MAX = 400;
const OPENS_AT_MAX = 12;
const MINUTE_MS = 60_000;
/** Mulberry32: small, fast, the same everywhere. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A session of the family that lasts at least until it could be routed. */
export function sessionOf(
  family: Family,
  random: () => number,
  promptTokensMax: number,
): SessionTrace {
  const opensAt = family.opening === 'first' ? 0 : 1 + Math.floor(random() * OPENS_AT_MAX);
  const turns = Math.min(lengthOf(family.lengths, random), TURNS_MAX);
  const growth = logUniform(random, 50, 3_000);
  const output = logUniform(random, 50, 2_000);
  let promptTokens = Math.round(logUniform(random, 200, 200_000));
  let atMs = 1_790_000_000_000;
  const calls: TraceCall[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    if (turn > 0) {
      atMs += gapOf(family.gaps, random);
      // An application that reaches the window keeps its prompt there.
      promptTokens += Math.round(growth * 2 * random());
    }
    promptTokens = Math.min(promptTokens, promptTokensMax);
    calls.push({ atMs, promptTokens, outputTokens: Math.round(output * 2 * random()) });
  }
  return { calls, opensAt, stablePrefix: family.stablePrefix };
}

/** Geometric with means of 4 and 40 turns; Pareto with exponent 1.2, whose mean few sessions make. */
function lengthOf(lengths: Lengths, random: () => number): number {
  const chance = 1 - random();
  if (lengths === 'heavy') return Math.ceil(2 * chance ** (-1 / 1.2)) - 1;
  const mean = lengths === 'short' ? 4 : 40;
  return 1 + Math.floor(Math.log(chance) / Math.log(1 - 1 / mean));
}

/** Around the times to live: within 5 minutes; short with pauses of 4 to 50 minutes; 3 to 55 minutes. */
function gapOf(gaps: Gaps, random: () => number): number {
  if (gaps === 'close') return logUniform(random, 0.05, 3) * MINUTE_MS;
  if (gaps === 'far') return logUniform(random, 3, 55) * MINUTE_MS;
  return random() < 0.8
    ? logUniform(random, 0.05, 2) * MINUTE_MS
    : logUniform(random, 4, 50) * MINUTE_MS;
}

function logUniform(random: () => number, least: number, most: number): number {
  return least * (most / least) ** random();
}
