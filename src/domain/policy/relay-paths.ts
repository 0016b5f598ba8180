import type { Provider } from '../routing/provider.js';
import { isAdministrative } from './administration.js';
import { normalisePath } from './paths.js';
import { resourcePath, resourcePrefix } from './resource-path.js';

interface RelayRule {
  readonly provider: Provider;
  readonly method: 'GET' | 'POST';
  readonly path: RegExp;
}

/** Relayed without being listed: reading models, and counting tokens. Paths as `resourcePath` gives them. */
const DEFAULT_RULES: readonly RelayRule[] = [
  { provider: 'openai', method: 'GET', path: /^\/models(\/[^/]+)?$/ },
  { provider: 'openai', method: 'POST', path: /^\/responses\/input_tokens$/ },
  { provider: 'anthropic', method: 'GET', path: /^\/models(\/[^/]+)?$/ },
  { provider: 'anthropic', method: 'POST', path: /^\/messages\/count_tokens$/ },
  { provider: 'google', method: 'GET', path: /^\/models(\/[^/:]+)?$/ },
  { provider: 'google', method: 'POST', path: /^\/models\/[^/:]+:countTokens$/ },
  // Groq's model names hold a slash.
  { provider: 'groq', method: 'GET', path: /^\/models(\/[^/]+){0,2}$/ },
];

/**
 * Whether a path that Shunt does not read may be passed on. Administration never, whatever a list says.
 *
 * @param method as in the request; HEAD counts as GET.
 * @param path under the provider's host, with or without its version (`/v1/files`, `/files`), without query. It is
 *   normalised here once more: a match on anything else would mean nothing.
 * @param listed the project's own list: `provider:/path`, or `provider:/path*` for all that begins so; any method.
 */
export function pathAllowed(
  provider: Provider,
  method: string,
  path: string,
  listed: readonly string[],
): boolean {
  const normalised = normalisePath(path);
  if (!normalised.ok) return false;
  const resource = resourcePath(normalised.path);
  if (isAdministrative(resource)) return false;
  const asked = method === 'HEAD' ? 'GET' : method;
  return (
    DEFAULT_RULES.some(
      (rule) => rule.provider === provider && rule.method === asked && rule.path.test(resource),
    ) || listed.some((entry) => matches(entry, provider, resource))
  );
}

function matches(entry: string, provider: Provider, resource: string): boolean {
  const colon = entry.indexOf(':');
  if (colon < 0 || entry.slice(0, colon) !== provider) return false;
  const pattern = entry.slice(colon + 1);
  if (!pattern.startsWith('/')) return false;
  if (!pattern.endsWith('*')) return resourcePath(pattern) === resource;
  const prefix = resourcePrefix(pattern);
  return resource.startsWith(prefix) || `${resource}/` === prefix;
}
