export const MEMBER_ROLES = ['owner', 'admin', 'member'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/**
 * Who may do what in an organization. The table is shown to members as it stands here. What changes a status is
 * decided once more by `transition()`, with the same roles.
 */
export const PERMISSIONS = {
  'organization.read': ['owner', 'admin', 'member'],
  'reports.read': ['owner', 'admin', 'member'],
  'requests.read': ['owner', 'admin', 'member'],
  'reports.create': ['owner', 'admin'],
  'organization.change': ['owner', 'admin'],
  'projects.change': ['owner', 'admin'],
  'keys.change': ['owner', 'admin'],
  'provider_keys.change': ['owner', 'admin'],
  'prices.change': ['owner', 'admin'],
  'members.invite': ['owner', 'admin'],
  'audit.read': ['owner', 'admin'],
  'routing.activate': ['owner', 'admin'],
  'routing.deactivate': ['owner'],
  'subscription.cancel': ['owner'],
  'billing.change': ['owner'],
  'members.change': ['owner'],
  'security.change': ['owner'],
  'organization.export': ['owner'],
  'organization.delete': ['owner'],
} as const satisfies Record<string, readonly MemberRole[]>;

export type Permission = keyof typeof PERMISSIONS;

export function may(role: MemberRole, permission: Permission): boolean {
  const roles: readonly MemberRole[] = PERMISSIONS[permission];
  return roles.includes(role);
}
