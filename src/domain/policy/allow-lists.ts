import type { Provider } from '../routing/provider.js';

/** What may be used; null allows everything, an empty list nothing. */
export interface AllowList {
  readonly providers: readonly Provider[] | null;
  /** Exact model names as the provider writes them, or a prefix followed by `*`. */
  readonly models: readonly string[] | null;
}

/** True when the name is in the list, exactly or under a `prefix*`. Letter case counts. A `*` elsewhere is an ordinary character. */
export function allows(list: readonly string[] | null, name: string): boolean {
  if (list === null) return true;
  return list.some((entry) =>
    entry.endsWith('*') ? name.startsWith(entry.slice(0, -1)) : entry === name,
  );
}

/** Both the organization's and the project's list must allow it. */
export function providerAllowed(
  organization: AllowList,
  project: AllowList,
  provider: Provider,
): boolean {
  return allows(organization.providers, provider) && allows(project.providers, provider);
}

/**
 * Whether both lists allow the provider and the model.
 *
 * @param model the one that would be served (asked for, override, fallback or substitute), without `models/`; null
 *   where it cannot be read unambiguously, which any list of models refuses.
 */
export function modelAllowed(
  organization: AllowList,
  project: AllowList,
  provider: Provider,
  model: string | null,
): boolean {
  if (!providerAllowed(organization, project, provider)) return false;
  if (model === null) return organization.models === null && project.models === null;
  return allows(organization.models, model) && allows(project.models, model);
}
