import { arrayOf, countOf, objectOf, type JsonObject } from './json-value.js';

const DEPTH_MAX = 8;
const ITEMS_MAX = 20;

/** A small value that satisfies the schema (JSON Schema, or Google's upper-case dialect of it). */
export function sampleOf(schema: unknown): unknown {
  const root = objectOf(schema);
  if (root === null || Object.keys(root).length === 0) return { answer: 'ok' };
  return sample(root, root, 0);
}

function sample(schema: JsonObject, root: JsonObject, depth: number): unknown {
  if (depth > DEPTH_MAX) return null;
  const resolved = resolve(schema, root);
  if (resolved['const'] !== undefined) return resolved['const'];
  const allowed = arrayOf(resolved['enum']);
  if (allowed.length > 0) return allowed[0];
  const alternatives = [...arrayOf(resolved['anyOf']), ...arrayOf(resolved['oneOf'])];
  const alternative = objectOf(alternatives[0]);
  if (alternative !== null) return sample(alternative, root, depth + 1);
  switch (typeName(resolved)) {
    case 'object':
      return sampleObject(resolved, root, depth);
    case 'array':
      return sampleArray(resolved, root, depth);
    case 'integer':
    case 'number':
      return sampleNumber(resolved);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return sampleString(resolved);
  }
}

function typeName(schema: JsonObject): string {
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  if (typeof type === 'string') return type.toLowerCase();
  return schema['properties'] === undefined ? 'string' : 'object';
}

function sampleObject(schema: JsonObject, root: JsonObject, depth: number): JsonObject {
  const value: JsonObject = {};
  for (const [name, member] of Object.entries(objectOf(schema['properties']) ?? {})) {
    value[name] = sample(objectOf(member) ?? {}, root, depth + 1);
  }
  return value;
}

function sampleArray(schema: JsonObject, root: JsonObject, depth: number): unknown[] {
  const length = Math.min(Math.max(countOf(schema['minItems']) ?? 1, 1), ITEMS_MAX);
  return Array.from({ length }, () => sample(objectOf(schema['items']) ?? {}, root, depth + 1));
}

function sampleNumber(schema: JsonObject): number {
  const minimum = schema['minimum'];
  if (typeof minimum === 'number') return Math.ceil(minimum);
  const maximum = schema['maximum'];
  return typeof maximum === 'number' && maximum < 1 ? Math.floor(maximum) : 1;
}

function sampleString(schema: JsonObject): string {
  switch (schema['format']) {
    case 'date':
      return '2026-01-15';
    case 'date-time':
      return '2026-01-15T09:30:00Z';
    case 'email':
      return 'someone@example.com';
    case 'uri':
      return 'https://example.com/';
    default:
      return 'sample'.padEnd(Math.min(countOf(schema['minLength']) ?? 0, 1_000), '.');
  }
}

function resolve(schema: JsonObject, root: JsonObject): JsonObject {
  const reference = schema['$ref'];
  if (typeof reference !== 'string' || !reference.startsWith('#/')) return schema;
  let found: unknown = root;
  for (const step of reference.slice(2).split('/')) found = objectOf(found)?.[step];
  return objectOf(found) ?? {};
}
