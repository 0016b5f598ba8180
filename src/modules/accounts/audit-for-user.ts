import type { MemberRole } from '../../domain/policy/permissions.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization, scopeToUser } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID, type NewAuditEntry } from '../audit/audit-entry.js';
import { auditWithin } from '../audit/audit-trail.js';

/** More organizations than this one person is in are not told; nobody is in that many. */
const ORGANIZATIONS_MAX = 200;

/**
 * Adds an entry about a person to the trail of each organization that the person is in, or to the installation's
 * where there is none; by that person, unless another actor is named. Leaves the transaction scoped to one of them.
 */
export async function auditForUserWithin(
  q: Queryable,
  userId: string,
  entry: Omit<NewAuditEntry, 'actor'>,
  by?: Actor,
): Promise<void> {
  const memberships = await membershipsWithin(q, userId);
  if (memberships.length === 0) {
    await scopeToOrganization(q, INSTALLATION_ID);
    const actor = by ?? ({ kind: 'member', id: userId, role: 'member' } as const);
    await auditWithin(q, INSTALLATION_ID, { ...entry, actor });
    return;
  }
  // Always in the order of their ids: two people of the same organizations cannot deadlock on the trails.
  for (const { orgId, role } of memberships.toSorted((a, b) => (a.orgId < b.orgId ? -1 : 1))) {
    await scopeToOrganization(q, orgId);
    const actor = by ?? ({ kind: 'member', id: userId, role } as const);
    await auditWithin(q, orgId, { ...entry, actor });
  }
}

export interface Membership {
  readonly orgId: string;
  readonly role: MemberRole;
}

/** The organizations of a person, the oldest membership first. */
export async function membershipsWithin(q: Queryable, userId: string): Promise<Membership[]> {
  await scopeToUser(q, userId);
  return q.query<Membership>(
    `SELECT org_id AS "orgId", role FROM memberships WHERE user_id = $1
      ORDER BY created_at, org_id LIMIT ${ORGANIZATIONS_MAX}`,
    [userId],
  );
}
