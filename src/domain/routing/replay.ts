import { decide } from './decide.js';
import {
  BREAKER_STATES,
  CANDIDATES_MAX,
  FALLBACK_CHAIN_MAX,
  OBSTACLES,
  ROUTING_VERSION,
  RULE_TARGETS_MAX,
  type CandidateState,
  type Evidence,
  type RouteDecision,
  type RoutingInputs,
  type Target,
} from './decision.js';
import { PROVIDERS } from './provider.js';

const MODEL_CHARS_MAX = 1_024;
const RULE_ID_CHARS_MAX = 128;
const NANO_USD = /^\d{1,30}$/;

/**
 * The decision that stored inputs lead to; null where they are not what `decide` of this version was given: another
 * version, a field missing or added, a word outside its list, or more than the bounds. The stored decision is not
 * looked at: it is for the caller to compare.
 *
 * @param stored the parsed `routing` of a record.
 */
export function replay(stored: unknown): RouteDecision | null {
  try {
    return decide(inputsOf(fields(decidedIn(stored), ['inputs', 'decision'])['inputs']));
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

/** Thrown and caught in this file alone. */
class Unreadable extends Error {}

/** A record may also say what became of the call: nothing of that was known when it was decided. */
function decidedIn(stored: unknown): unknown {
  if (!isObject(stored)) throw new Unreadable();
  const { excluded: _why, unknownCostAttempts: _after, ...decided } = stored;
  return decided;
}

type Fields<Name extends string> = Readonly<Record<Name, unknown>>;

function inputsOf(value: unknown): RoutingInputs {
  const read = fields(value, [
    'version',
    'mayRoute',
    'requested',
    'auto',
    'override',
    'off',
    'control',
    'evidence',
    'session',
    'candidates',
    'fallbackChain',
  ]);
  return {
    version: word(read.version, [ROUTING_VERSION]),
    mayRoute: flag(read.mayRoute),
    requested: candidateOf(read.requested),
    auto: flag(read.auto),
    override: read.override === null ? null : targetOf(read.override),
    off: read.off === null ? null : word(read.off, ['header', 'project']),
    control: flag(read.control),
    evidence: evidenceOf(read.evidence),
    session: sessionOf(read.session),
    candidates: list(read.candidates, CANDIDATES_MAX).map(candidateOf),
    fallbackChain: list(read.fallbackChain, FALLBACK_CHAIN_MAX).map(targetOf),
  };
}

function candidateOf(value: unknown): CandidateState {
  const read = fields(value, [
    'provider',
    'model',
    'ineligible',
    'breaker',
    'coolingDown',
    'expectedSessionNanoUsd',
  ]);
  return {
    provider: word(read.provider, PROVIDERS),
    model: text(read.model, MODEL_CHARS_MAX),
    ineligible: list(read.ineligible, OBSTACLES.length).map((reason) => word(reason, OBSTACLES)),
    breaker: word(read.breaker, BREAKER_STATES),
    coolingDown: flag(read.coolingDown),
    expectedSessionNanoUsd:
      read.expectedSessionNanoUsd === null ? null : amount(read.expectedSessionNanoUsd),
  };
}

function targetOf(value: unknown): Target {
  const read = fields(value, ['provider', 'model']);
  return { provider: word(read.provider, PROVIDERS), model: text(read.model, MODEL_CHARS_MAX) };
}

function evidenceOf(value: unknown): Evidence {
  const kind = isObject(value) ? value['kind'] : undefined;
  if (kind === 'none') {
    fields(value, ['kind']);
    return { kind };
  }
  const read = fields(value, ['kind', 'ruleId', 'targets']);
  return {
    kind: word(read.kind, ['rule']),
    ruleId: text(read.ruleId, RULE_ID_CHARS_MAX),
    targets: list(read.targets, RULE_TARGETS_MAX).map(targetOf),
  };
}

function sessionOf(value: unknown): RoutingInputs['session'] {
  if (value === null) return null;
  const read = fields(value, ['route', 'gotHarder']);
  return { route: targetOf(read.route), gotHarder: flag(read.gotHarder) };
}

/** An object with exactly these fields. */
function fields<const Name extends string>(value: unknown, names: readonly Name[]): Fields<Name> {
  if (!isObject(value)) throw new Unreadable();
  if (Object.keys(value).length !== names.length) throw new Unreadable();
  if (!names.every((name) => Object.hasOwn(value, name))) throw new Unreadable();
  return value as Fields<Name>;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown, itemsMax: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > itemsMax) throw new Unreadable();
  return value as readonly unknown[];
}

function word<const Word extends string>(value: unknown, words: readonly Word[]): Word {
  const found = words.find((one) => one === value);
  if (found === undefined) throw new Unreadable();
  return found;
}

function text(value: unknown, charsMax: number): string {
  if (typeof value !== 'string' || value.length > charsMax) throw new Unreadable();
  return value;
}

function amount(value: unknown): string {
  if (typeof value !== 'string' || !NANO_USD.test(value)) throw new Unreadable();
  return value;
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Unreadable();
  return value;
}
