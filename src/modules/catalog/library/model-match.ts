import type { MatchLogic } from '@pydantic/genai-prices';

/** How a model name can go on after the part that the library knows, and still be the same model. */
const SNAPSHOT =
  /^(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{2}-\d{2}|\d{3}|latest|preview|exp|customtools|v\d+))*$/;

/**
 * The library's matching, less its guesses: `claude-sonnet-5-7` starts with `claude-sonnet-5`, and
 * `gemini-3.6-flash-image` with `gemini-3.6-flash`, but they are other models with other prices. A loose
 * match counts only where the rest of the name is a date or an alias word. Names are lower-case here.
 */
export function matchesModel(logic: MatchLogic, model: string): boolean {
  if ('or' in logic) return logic.or.some((part) => matchesModel(part, model));
  if ('and' in logic) return logic.and.every((part) => matchesModel(part, model));
  if ('equals' in logic) return logic.equals.toLowerCase() === model;
  if ('regex' in logic) return new RegExp(logic.regex).test(model);
  if ('starts_with' in logic) return isSnapshotOf(logic.starts_with.toLowerCase(), model);
  if ('contains' in logic) return isSnapshotOf(logic.contains.toLowerCase(), unscoped(model));
  return unscoped(model) === logic.ends_with.toLowerCase();
}

/** The name of the model that a dated snapshot or an alias (`-2026-03-05`, `-latest`) is of, or null. */
export function withoutSnapshot(model: string): string | null {
  const stripped = model.replace(/[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$/, '');
  return stripped === model || stripped === '' ? null : stripped;
}

function isSnapshotOf(base: string, model: string): boolean {
  if (!model.startsWith(base)) return false;
  // A fine-tuned model goes on with its owner and a free suffix.
  if (base.startsWith('ft:')) return true;
  const known = base.endsWith('-') ? base.length - 1 : base.length;
  return SNAPSHOT.test(model.slice(known));
}

function unscoped(model: string): string {
  return model.slice(model.lastIndexOf('/') + 1);
}
