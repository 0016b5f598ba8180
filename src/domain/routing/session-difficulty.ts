import type { PromptFacts, ReasoningEffort, ThinkingMode } from '../classification/prompt-facts.js';

/** How hard a call looks from outside: marks of its structure, no meaning. */
export interface Difficulty {
  readonly toolCount: number;
  /** Of the last user message: 0 up to 255 characters, then one more with every fourfold length, at most 7. */
  readonly lengthClass: number;
  /** How much reasoning was asked for: 0 none to 6 the most; what is left to the model is in the middle. */
  readonly effortRank: number;
}

export const NO_DIFFICULTY: Difficulty = Object.freeze({
  toolCount: 0,
  lengthClass: 0,
  effortRank: 0,
});

const SHORT_MESSAGE_CHARS = 256;
const LENGTH_CLASS_MAX = 7;
/** A message sixteen times as long as any before it is another task, one four times as long may be chance. */
const LENGTH_CLASSES_HARDER = 2;

const EFFORT_RANK: Readonly<Record<ReasoningEffort, number>> = {
  none: 0,
  minimal: 1,
  low: 2,
  unset: 3,
  medium: 3,
  other: 3,
  high: 4,
  xhigh: 5,
  max: 6,
};
const THINKING_RANK: Readonly<Record<ThinkingMode, number>> = {
  disabled: 0,
  unset: 3,
  adaptive: 3,
  between_tools: 3,
  other: 3,
  budget: 4,
};

export function difficultyOf(facts: PromptFacts): Difficulty {
  return {
    toolCount: facts.toolCount,
    lengthClass: lengthClassOf(facts.lastUserChars),
    effortRank:
      facts.reasoningEffort === 'unset'
        ? THINKING_RANK[facts.thinking]
        : EFFORT_RANK[facts.reasoningEffort],
  };
}

/**
 * Whether a call asks for more than any call of its session before it: its first tools or twice as many as ever, a
 * message two length classes above, or more reasoning than was ever asked for.
 */
export function gotHarder(hardest: Difficulty, now: Difficulty): boolean {
  return (
    (now.toolCount > 0 && now.toolCount >= 2 * hardest.toolCount) ||
    now.lengthClass >= hardest.lengthClass + LENGTH_CLASSES_HARDER ||
    now.effortRank > hardest.effortRank
  );
}

export function hardestOf(a: Difficulty, b: Difficulty): Difficulty {
  return {
    toolCount: Math.max(a.toolCount, b.toolCount),
    lengthClass: Math.max(a.lengthClass, b.lengthClass),
    effortRank: Math.max(a.effortRank, b.effortRank),
  };
}

function lengthClassOf(chars: number): number {
  let lengthClass = 0;
  for (let end = SHORT_MESSAGE_CHARS; chars >= end && lengthClass < LENGTH_CLASS_MAX; end *= 4) {
    lengthClass += 1;
  }
  return lengthClass;
}
