import type { Queryable } from './queryable.js';

/** Row security admits the rows of this organization, until the transaction ends. */
export async function scopeToOrganization(q: Queryable, orgId: string): Promise<void> {
  await q.query("SELECT set_config('shunt.org_id', $1, true)", [orgId]);
}

/** Row security admits this user's own memberships, until the transaction ends. */
export async function scopeToUser(q: Queryable, userId: string): Promise<void> {
  await q.query("SELECT set_config('shunt.user_id', $1, true)", [userId]);
}

/** Row security admits reading which organizations exist, until the transaction ends; what they hold stays closed. */
export async function scopeToDirectory(q: Queryable): Promise<void> {
  await q.query("SELECT set_config('shunt.scope', 'directory', true)");
}
