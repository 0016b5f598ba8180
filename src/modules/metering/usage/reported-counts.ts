import { NO_USAGE } from '../../../domain/pricing/usage.js';
import type { Usage } from '../../../domain/pricing/usage.js';
import type { UsageReport } from '../usage-report.js';

export type JsonObject = Readonly<Record<string, unknown>>;

/** No provider's word for a tier, speed or region is longer. */
const WORD_CHARS_MAX = 64;
const MODEL_CHARS_MAX = 200;

/** The value as a JSON object, or null for anything else (null, arrays and text included). */
export function objectOf(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : null;
}

/** The last event for which `pick` finds something: usage is cumulative, so the last word counts. */
export function lastOf<T>(
  events: readonly unknown[],
  pick: (event: JsonObject) => T | null,
): T | null {
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const event = objectOf(events[index]);
    const picked = event === null ? null : pick(event);
    if (picked !== null) return picked;
  }
  return null;
}

/** A model's name where the answer has one. */
export function modelOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= MODEL_CHARS_MAX
    ? value
    : null;
}

/**
 * Reads a provider's numbers and remembers whether any of them was not what it must be: then there is no
 * report at all, rather than one with a wrong number in it.
 */
export class ReportedCounts {
  #malformed = false;

  /** A count: absent or null is 0. */
  count(value: unknown): number {
    if (value === undefined || value === null) return 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      return this.#reject();
    return value;
  }

  /** What is left of a total after its parts; a part larger than the whole is malformed. */
  rest(total: number, ...parts: readonly number[]): number {
    let left = total;
    for (const part of parts) left -= part;
    return left < 0 ? this.#reject() : left;
  }

  /** The provider's own word, or null where it said nothing. */
  word(value: unknown): string | null {
    if (value === undefined || value === null) return null;
    if (typeof value === 'string' && value !== '' && value.length <= WORD_CHARS_MAX) return value;
    this.#reject();
    return null;
  }

  /** An object of details: absent or null has no details, another type is malformed. */
  details(value: unknown): JsonObject {
    if (value === undefined || value === null) return EMPTY;
    const object = objectOf(value);
    if (object !== null) return object;
    this.#reject();
    return EMPTY;
  }

  /** A list of details, under the same rule. */
  list(value: unknown): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    this.#reject();
    return [];
  }

  reject(): void {
    this.#malformed = true;
  }

  /** The report, or null where anything in it was malformed or a sum left the safe integers. */
  report(usage: Partial<Usage>, terms: Partial<Omit<UsageReport, 'usage'>>): UsageReport | null {
    if (this.#malformed) return null;
    const complete: Usage = { ...NO_USAGE, ...usage };
    for (const units of Object.values(complete)) if (!Number.isSafeInteger(units)) return null;
    return {
      usage: complete,
      answeringModel: terms.answeringModel ?? null,
      serviceTier: terms.serviceTier ?? null,
      speed: terms.speed ?? null,
      region: terms.region ?? null,
    };
  }

  #reject(): 0 {
    this.#malformed = true;
    return 0;
  }
}

const EMPTY: JsonObject = Object.freeze({});
