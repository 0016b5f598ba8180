/** Readers of parsed JSON of any shape: what is not as expected reads as absent, and nothing throws. */

export type JsonObject = Readonly<Record<string, unknown>>;

const NOTHING: JsonObject = Object.freeze({});
const NO_ITEMS: readonly unknown[] = Object.freeze([]);

export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : NOTHING;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : NO_ITEMS;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A whole number of zero or more; null otherwise. */
export function countOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Google takes both spellings of a field. */
export function eitherOf(object: JsonObject, camelCase: string, snakeCase: string): unknown {
  return object[camelCase] ?? object[snakeCase];
}

/** The names of the members that are set. */
export function namesSet(object: JsonObject): string[] {
  return Object.keys(object).filter((name) => isSet(object[name]));
}

/** Google's snake case as it stands in its documents: `top_k` is `topK`. */
export function inCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
