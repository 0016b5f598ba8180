import type { Provider } from '../routing/provider.js';

export type RelayPermission =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly reason: 'administration' | 'not_listed' };

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
 * First segments under which the providers administer organizations, people, keys, grants and money.
 * OpenAI: /organization/* (users, invites, projects and their keys, admin keys, certificates, audit logs, costs,
 * usage, limits), /projects/* (roles and groups), and the dashboard's own billing paths. Anthropic:
 * /organizations/* (members, workspaces, API keys, usage and cost reports), /compliance/*. Signing in anywhere.
 */
const ADMINISTRATIVE_ROOTS: ReadonlySet<string> = new Set([
  'organization',
  'organizations',
  'projects',
  'workspaces',
  'admin',
  'admin_api_keys',
  'api_keys',
  'users',
  'invites',
  'compliance',
  'dashboard',
  'billing',
  'usage',
  'oauth',
  'login',
]);

/**
 * Anywhere in a path: who may use a resource. Google: tunedModels/{id}/permissions, corpora/{id}/permissions and
 * transferOwnership; OpenAI: fine_tuning/checkpoints/{id}/permissions, which shares a model with other projects.
 */
const ADMINISTRATIVE_SEGMENTS: ReadonlySet<string> = new Set([
  'permissions',
  'admin_api_keys',
  'service_accounts',
]);
const ADMINISTRATIVE_METHODS: ReadonlySet<string> = new Set(['transferownership']);

const API_PREFIX = /^(?:\/(?:openai|v\d+[a-z0-9]*))+(?=\/|$)/i;

/**
 * Whether a path that Shunt does not read may be passed on. Administration never, whatever a list says.
 *
 * @param method as in the request; HEAD counts as GET.
 * @param path as `normalisePath` gave it, under the provider's host, with or without its version (`/v1/files`, `/files`).
 * @param listed the project's own list: `provider:/path`, or `provider:/path*` for all that begins so; any method.
 */
export function relayAllowed(
  provider: Provider,
  method: string,
  path: string,
  listed: readonly string[],
): RelayPermission {
  const resource = resourcePath(path);
  if (isAdministrative(resource)) return { allowed: false, reason: 'administration' };
  const asked = method === 'HEAD' ? 'GET' : method;
  const isAllowed =
    DEFAULT_RULES.some(
      (rule) => rule.provider === provider && rule.method === asked && rule.path.test(resource),
    ) || listed.some((entry) => matches(entry, provider, resource));
  return isAllowed ? { allowed: true } : { allowed: false, reason: 'not_listed' };
}

/** The path without version, Groq's and Google's `/openai`, and a slash at the end: `/openai/v1/models/` is `/models`. */
export function resourcePath(path: string): string {
  const resource = path.replace(API_PREFIX, '').replace(/\/$/, '');
  return resource === '' ? '/' : resource;
}

function matches(entry: string, provider: Provider, resource: string): boolean {
  const colon = entry.indexOf(':');
  if (colon < 0 || entry.slice(0, colon) !== provider) return false;
  const pattern = entry.slice(colon + 1);
  if (!pattern.startsWith('/')) return false;
  if (!pattern.endsWith('*')) return resourcePath(pattern) === resource;
  const prefix = pattern.slice(0, -1).replace(API_PREFIX, '');
  return resource.startsWith(prefix) || `${resource}/` === prefix;
}

function isAdministrative(resource: string): boolean {
  const segments = resource.toLowerCase().split('/').slice(1).map(withoutParameters);
  const [root = ''] = segments;
  if (ADMINISTRATIVE_ROOTS.has(root)) return true;
  return segments.some((segment) => {
    const [name = '', action = ''] = segment.split(':', 2);
    return ADMINISTRATIVE_SEGMENTS.has(name) || ADMINISTRATIVE_METHODS.has(action);
  });
}

function withoutParameters(segment: string): string {
  return segment.split(';', 1)[0] ?? '';
}
