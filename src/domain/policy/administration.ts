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

/** Whether a path administers an organization. @param resource as `resourcePath` gives it. */
export function isAdministrative(resource: string): boolean {
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
