import { LRUCache } from 'lru-cache';
import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Clock } from '../../platform/clock.js';
import type { BreakerTarget } from './breaker.js';
import { MODEL_CHARS_MAX } from './breaker-rules.js';

/** A call of one organization with one of its keys. */
export interface CoolDownCall {
  readonly orgId: string;
  readonly target: BreakerTarget;
  /** Of the provider key; a new key starts without a history. Null in the sandbox. */
  readonly keyId: string | null;
}

/** The classes after which an organization leaves a target alone; none of them says anything of others. */
export type CoolingClass = 'rate_limit' | 'quota' | 'credential' | 'model_access';

export interface CoolDown {
  readonly failureClass: CoolingClass;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** How many came in a row, with successes and time counted against them. */
  readonly strikes: number;
}

/** What a provider asks for is honoured up to this; more is a mistake of its own, or a wrong clock. */
export const COOL_DOWN_MS_MAX = 86_400_000;
/** Where it does not say, a wait that is our own guess grows no longer than this. */
export const GROWN_MS_MAX = 600_000;
const STRIKES_MAX = 16;
/** So long after its end a cool-down's strike is forgotten, one at a time. */
const DECAY_MS = 600_000;
const ORGANIZATIONS_MAX = 5_000;
const ENTRIES_PER_ORGANIZATION_MAX = 64;

interface Rule {
  /** The first one, where the provider does not say; doubled with each strike. */
  readonly firstMs: number;
  /** What is cooled: the model, or everything that the key pays for. */
  readonly per: 'model' | 'key';
}

const RULES: Readonly<Record<CoolingClass, Rule>> = {
  rate_limit: { firstMs: 5_000, per: 'model' },
  quota: { firstMs: 60_000, per: 'key' },
  credential: { firstMs: 300_000, per: 'key' },
  model_access: { firstMs: 300_000, per: 'model' },
};

/** Where the key's name stands for all its models. */
const ALL_MODELS = '*';

export type CoolDownListener = (orgId: string, key: string, coolDown: CoolDown | null) => void;

/** What each organization had better not call for a while; in memory, bounded, by organization first. */
export class CoolDowns {
  readonly #clock: Clock;
  readonly #organizations = new LRUCache<string, LRUCache<string, CoolDown>>({
    max: ORGANIZATIONS_MAX,
  });
  #listener: CoolDownListener = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  onChange(listener: CoolDownListener): void {
    this.#listener = listener;
  }

  isCoolingDown(call: CoolDownCall): boolean {
    return this.current(call) !== null;
  }

  /** The one that ends last; null where there is none. */
  current({ orgId, target, keyId }: CoolDownCall): CoolDown | null {
    const entries = this.#organizations.get(orgId);
    if (entries === undefined) return null;
    const nowMs = this.#clock.nowMs();
    const ofModel = activeAt(entries.get(keyOf(target, keyId, target.model)), nowMs);
    const ofKey = activeAt(entries.get(keyOf(target, keyId, ALL_MODELS)), nowMs);
    if (ofModel === null || ofKey === null) return ofModel ?? ofKey;
    return ofModel.untilMs > ofKey.untilMs ? ofModel : ofKey;
  }

  /**
   * Classes that are not for cooling are ignored.
   * @param waitMs what the provider asked for (`statedWaitMs`); null where it did not say.
   */
  failed(call: CoolDownCall, failure: FailureClass, waitMs: number | null): void {
    if (!isCooling(failure) || call.target.model.length > MODEL_CHARS_MAX) return;
    for (const model of modelsOf(call.target, failure)) {
      const key = keyOf(call.target, call.keyId, model);
      this.#cool(call.orgId, key, failure, waitMs);
    }
  }

  #cool(orgId: string, key: string, failure: CoolingClass, waitMs: number | null): void {
    const entries = this.#entriesOf(orgId);
    const before = entries.get(key);
    const nowMs = this.#clock.nowMs();
    const isActive = activeAt(before, nowMs) !== null;
    // Calls that were under way together fail together: that is one strike.
    const strikes = isActive ? (before?.strikes ?? 0) : strikesAt(before, nowMs) + 1;
    const grown = RULES[failure].firstMs * 2 ** Math.max(0, strikes - 1);
    const lastsMs = waitMs ?? Math.min(grown, GROWN_MS_MAX);
    const untilMs = nowMs + Math.min(lastsMs, COOL_DOWN_MS_MAX);
    if (before !== undefined && isActive && before.untilMs >= untilMs) return;
    const coolDown: CoolDown = {
      failureClass: failure,
      sinceMs: isActive ? (before?.sinceMs ?? nowMs) : nowMs,
      untilMs,
      strikes: Math.min(strikes, STRIKES_MAX),
    };
    entries.set(key, coolDown);
    this.#listener(orgId, key, coolDown);
  }

  /**
   * A call that began after a cool-down did, and succeeded, ends it; one strike is forgotten. Of a key's cool-down it
   * leaves what the models that failed have of their own: that one model answers says nothing of them.
   */
  succeeded(call: CoolDownCall, startedAtMs: number): void {
    const entries = this.#organizations.get(call.orgId);
    if (entries === undefined) return;
    const { target, keyId } = call;
    for (const model of [target.model, ALL_MODELS]) {
      const key = keyOf(target, keyId, model);
      const found = entries.get(key);
      if (found === undefined || startedAtMs < found.sinceMs) continue;
      const nowMs = this.#clock.nowMs();
      const wasActive = found.untilMs > nowMs;
      const strikes = strikesAt(found, nowMs) - 1;
      if (strikes <= 0) entries.delete(key);
      else entries.set(key, { ...found, strikes, untilMs: Math.min(found.untilMs, nowMs) });
      if (wasActive) this.#listener(call.orgId, key, null);
    }
  }

  /** What another replica decided; null: it ended. */
  told(orgId: string, key: string, coolDown: CoolDown | null): void {
    const entries = this.#entriesOf(orgId);
    const known = entries.get(key);
    if (coolDown === null) {
      const nowMs = this.#clock.nowMs();
      if (known !== undefined)
        entries.set(key, { ...known, untilMs: Math.min(known.untilMs, nowMs) });
      return;
    }
    if (known === undefined || known.untilMs < coolDown.untilMs) entries.set(key, coolDown);
  }

  /** The active ones, for replicas that know nothing. */
  *toTell(): Iterable<readonly [orgId: string, key: string, coolDown: CoolDown]> {
    const nowMs = this.#clock.nowMs();
    for (const [orgId, entries] of this.#organizations.entries()) {
      for (const [key, coolDown] of entries.entries())
        if (coolDown.untilMs > nowMs) yield [orgId, key, coolDown];
    }
  }

  get size(): number {
    let entries = 0;
    for (const organization of this.#organizations.values()) entries += organization.size;
    return entries;
  }

  #entriesOf(orgId: string): LRUCache<string, CoolDown> {
    let entries = this.#organizations.get(orgId);
    if (entries === undefined) {
      entries = new LRUCache({ max: ENTRIES_PER_ORGANIZATION_MAX });
      this.#organizations.set(orgId, entries);
    }
    return entries;
  }
}

function isCooling(failure: FailureClass): failure is CoolingClass {
  return Object.hasOwn(RULES, failure);
}

/** What a failure cools: the model that failed, and all of the key's models where it may well be the key. */
function modelsOf({ model, provider }: BreakerTarget, failure: CoolingClass): readonly string[] {
  // Gemini counts its quotas by model and day.
  const isOfModel =
    RULES[failure].per === 'model' || (failure === 'quota' && provider === 'google');
  return isOfModel ? [model] : [model, ALL_MODELS];
}

function keyOf(
  { provider, synthetic }: BreakerTarget,
  keyId: string | null,
  model: string,
): string {
  return `${synthetic ? 'sandbox' : 'live'} ${provider} ${keyId ?? '-'} ${model}`;
}

function activeAt(coolDown: CoolDown | undefined, nowMs: number): CoolDown | null {
  return coolDown !== undefined && coolDown.untilMs > nowMs ? coolDown : null;
}

function strikesAt(coolDown: CoolDown | undefined, nowMs: number): number {
  if (coolDown === undefined) return 0;
  const forgotten = Math.max(0, Math.floor((nowMs - coolDown.untilMs) / DECAY_MS));
  return Math.max(0, coolDown.strikes - forgotten);
}
