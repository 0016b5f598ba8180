/** The fields that are given and differ from what was before. */
export function changedFields<Changes extends object>(
  fields: readonly (keyof Changes)[],
  before: Readonly<Changes>,
  changes: Readonly<Changes>,
): (keyof Changes)[] {
  return fields.filter(
    (field) =>
      changes[field] !== undefined &&
      JSON.stringify(changes[field]) !== JSON.stringify(before[field]),
  );
}

/** With a few fields of this length an entry stays well within what the trail takes. */
const VALUE_BYTES_MAX = 600;

/**
 * The details of a `.changed` entry: every changed field by its column's name, and what it was and became. Of a name
 * the trail says only that it changed, as people write anything into it; of a long list, how long it is.
 */
export function changesToAudit<Changes extends object>(
  changed: readonly (keyof Changes)[],
  columns: Readonly<Record<keyof Changes, string>>,
  before: Readonly<Changes>,
  changes: Readonly<Changes>,
): Readonly<Record<string, unknown>> {
  const told = changed.filter((field) => columns[field] !== 'name');
  return {
    fields: changed.map((field) => columns[field]),
    changes: Object.fromEntries(
      told.map((field) => [
        columns[field],
        { old: bounded(before[field]), new: bounded(changes[field]) },
      ]),
    ),
  };
}

function bounded(value: unknown): unknown {
  if (Buffer.byteLength(JSON.stringify(value ?? null)) <= VALUE_BYTES_MAX) return value ?? null;
  return Array.isArray(value) ? { entries: value.length } : { characters: String(value).length };
}
