import { may, type MemberRole } from '../../domain/policy/permissions.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';

export interface ListedMember {
  readonly userId: string;
  readonly email: string;
  readonly role: MemberRole;
  readonly totpEnabled: boolean;
  readonly joinedAt: Date;
}

export type MemberActor = Extract<Actor, { kind: 'member' }>;
/** Somebody at the command line of the machine may what an owner may, and is in no organization. */
export type MembersActor = MemberActor | Extract<Actor, { kind: 'command' }>;

export type MemberOutcome = 'done' | 'unknown_member' | 'last_owner' | 'not_permitted';
export type SecurityOutcome = 'done' | 'totp_not_enabled' | 'not_permitted';

const LIST_MAX = 1_000;

/** The people of an organization, and what they are in it. There is always an owner. */
export class MemberService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Longest in it first; at most 1,000. */
  async list(orgId: string): Promise<ListedMember[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<ListedMember>(
        `SELECT m.user_id AS "userId", u.email, m.role, u.totp_enabled_at IS NOT NULL AS "totpEnabled",
                m.created_at AS "joinedAt"
           FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1
          ORDER BY m.created_at, m.user_id LIMIT ${LIST_MAX}`,
        [orgId],
      ),
    );
  }

  async changeRole(
    orgId: string,
    userId: string,
    role: MemberRole,
    actor: MembersActor,
  ): Promise<MemberOutcome> {
    return this.database.tenant(orgId, async (q) => {
      const found = await lockMembers(q, orgId, userId, actor);
      if (!found.mayChange) return 'not_permitted';
      if (found.role === null) return 'unknown_member';
      if (found.role === role) return 'done';
      if (found.isLastOwner) return 'last_owner';
      await q.query('UPDATE memberships SET role = $3 WHERE org_id = $1 AND user_id = $2', [
        orgId,
        userId,
        role,
      ]);
      await auditWithin(q, orgId, {
        actor,
        action: 'member.role_changed',
        atMs: this.clock.nowMs(),
        subject: userId,
        oldValue: found.role,
        newValue: role,
      });
      return 'done';
    });
  }

  /** Anybody may leave; to remove another takes the permission. */
  async remove(orgId: string, userId: string, actor: MembersActor): Promise<MemberOutcome> {
    return this.database.tenant(orgId, async (q) => {
      const found = await lockMembers(q, orgId, userId, actor);
      const isLeaving = actor.kind === 'member' && userId === actor.id;
      if (!isLeaving && !found.mayChange) return 'not_permitted';
      if (found.role === null) return 'unknown_member';
      if (found.isLastOwner) return 'last_owner';
      await q.query('DELETE FROM memberships WHERE org_id = $1 AND user_id = $2', [orgId, userId]);
      await auditWithin(q, orgId, {
        actor,
        action: 'member.removed',
        atMs: this.clock.nowMs(),
        subject: userId,
        oldValue: found.role,
        details: { left: isLeaving },
      });
      return 'done';
    });
  }

  /** Who asks it of all others has a second factor. */
  async requireTotp(
    orgId: string,
    required: boolean,
    actor: MemberActor,
  ): Promise<SecurityOutcome> {
    return this.database.tenant(orgId, async (q) => {
      const { role } = await lockMembers(q, orgId, actor.id, actor);
      if (!may(role ?? 'member', 'security.change')) return 'not_permitted';
      const [user] = await q.query<{ enabled: boolean }>(
        'SELECT totp_enabled_at IS NOT NULL AS enabled FROM users WHERE id = $1',
        [actor.id],
      );
      if (required && !user?.enabled) return 'totp_not_enabled';
      const changed = await q.query(
        'UPDATE organizations SET require_totp = $2 WHERE id = $1 AND require_totp <> $2 RETURNING id',
        [orgId, required],
      );
      if (changed.length === 0) return 'done';
      await auditWithin(q, orgId, {
        actor,
        action: 'organization.security_changed',
        atMs: this.clock.nowMs(),
        oldValue: String(!required),
        newValue: String(required),
        details: { fields: ['require_totp'] },
      });
      return 'done';
    });
  }
}

interface LockedMembers {
  /** Null where the user is no member. */
  readonly role: MemberRole | null;
  /** By the actor's role as it is now: the request may have waited for the change that took it. */
  readonly mayChange: boolean;
  readonly isLastOwner: boolean;
}

/** Locks every owner, in one order for all, then the person: of two who remove each other one is refused. */
async function lockMembers(
  q: Queryable,
  orgId: string,
  userId: string,
  actor: MembersActor,
): Promise<LockedMembers> {
  const owners = await q.query<{ userId: string }>(
    `SELECT user_id AS "userId" FROM memberships WHERE org_id = $1 AND role = 'owner'
      ORDER BY user_id FOR UPDATE`,
    [orgId],
  );
  const rows = await q.query<{ userId: string; role: MemberRole }>(
    `SELECT user_id AS "userId", role FROM memberships WHERE org_id = $1 AND user_id = ANY($2::uuid[])
      ORDER BY user_id FOR UPDATE`,
    [orgId, actor.kind === 'member' ? [userId, actor.id] : [userId]],
  );
  const roleOf = (id: string): MemberRole | null =>
    rows.find((row) => row.userId === id)?.role ?? null;
  return {
    role: roleOf(userId),
    mayChange: actor.kind === 'command' || may(roleOf(actor.id) ?? 'member', 'members.change'),
    isLastOwner: owners.length === 1 && owners[0]?.userId === userId,
  };
}
