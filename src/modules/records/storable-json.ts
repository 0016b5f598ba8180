/** JSON escapes that Postgres refuses in jsonb: NUL, and halves of surrogate pairs (whole ones are not escaped). */
const UNSTORABLE = /\\u(?:0000|d[89a-f])/i;
const NUL = '\u0000';
const REPLACEMENT = '\uFFFD';

/**
 * The same JSON with every character that Postgres cannot store replaced by U+FFFD. Such characters come
 * from clients (tags, model names); a record is not refused, nor its batch halved, on their account.
 */
export function storableJson(json: string): string {
  // Most records have no escape at all, which a plain search tells sooner than the pattern.
  if (!json.includes('\\u') || !UNSTORABLE.test(json)) return json;
  return JSON.stringify(storable(JSON.parse(json)));
}

function storable(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed().replaceAll(NUL, REPLACEMENT);
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [storable(key) as string, storable(inner)]),
  );
}
