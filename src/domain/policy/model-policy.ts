import type { Provider } from '../routing/provider.js';

/** What may be used; null allows everything, an empty list nothing. */
export interface AllowList {
  readonly providers: readonly Provider[] | null;
  /** Exact model names as the provider writes them, or a prefix followed by `*`. */
  readonly models: readonly string[] | null;
}

export type ModelPermission =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      readonly by: 'organization' | 'project';
      readonly what: 'provider' | 'model' | 'unreadable_model';
    };

const ALLOWED: ModelPermission = Object.freeze({ allowed: true });

/** True when the name is in the list, exactly or under a `prefix*`. Letter case counts. A `*` elsewhere is an ordinary character. */
export function allows(list: readonly string[] | null, name: string): boolean {
  if (list === null) return true;
  return list.some((entry) =>
    entry.endsWith('*') ? name.startsWith(entry.slice(0, -1)) : entry === name,
  );
}

/**
 * Both lists must allow the provider and the model.
 *
 * @param model the one that would be served (asked for, override, fallback or substitute), without `models/`; null
 *   where it cannot be read unambiguously, which any list of models refuses.
 */
export function modelAllowed(
  organization: AllowList,
  project: AllowList,
  provider: Provider,
  model: string | null,
): ModelPermission {
  const lists = [
    ['organization', organization],
    ['project', project],
  ] as const;
  for (const [by, { providers, models }] of lists) {
    if (!allows(providers, provider)) return { allowed: false, by, what: 'provider' };
    if (models === null) continue;
    if (model === null) return { allowed: false, by, what: 'unreadable_model' };
    if (!allows(models, model)) return { allowed: false, by, what: 'model' };
  }
  return ALLOWED;
}
