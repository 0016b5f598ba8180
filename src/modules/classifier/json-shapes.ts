/** Readers of parsed JSON of any shape: what is not as expected reads as absent, and nothing throws. */

/** Stands, as an element or as the name of a member, where a view of a body leaves something out. */
export const LEFT_OUT = '…';

export type JsonObject = Readonly<Record<string, unknown>>;

const NOTHING: JsonObject = Object.freeze({});
const NO_ITEMS: readonly unknown[] = Object.freeze([]);

export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : NOTHING;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : NO_ITEMS;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A whole number of zero or more; null otherwise. */
export function countOf(value: unknown): number | null {
  return isCount(value) ? value : null;
}

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Google's snake case as it stands in its documents: `top_k` is `topK`. */
export function inCamelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether a value that is set is of the type that a member of this name has. */
export type Shape = (value: unknown) => boolean;
/** The members that an object may have. */
export type Shapes = ReadonlyMap<string, Shape>;

export function shapes(members: Readonly<Record<string, Shape>>): Shapes {
  return new Map(Object.entries(members));
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const isList: Shape = (value) => Array.isArray(value);
export const isText: Shape = (value) => typeof value === 'string';
export const isFlag: Shape = (value) => typeof value === 'boolean';
export const isNumber: Shape = (value) => Number.isFinite(value);
export const isInteger: Shape = (value) => Number.isSafeInteger(value);
export const isTexts: Shape = (value) => Array.isArray(value) && value.every(isText);
export const isTextOrList: Shape = (value) => isText(value) || isList(value);
export const isTextOrTexts: Shape = (value) => isText(value) || isTexts(value);
export const isTextOrObject: Shape = (value) => isText(value) || isObject(value);
export const isObjectOrList: Shape = (value) => isObject(value) || isList(value);

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
