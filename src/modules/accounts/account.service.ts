import type { MemberRole } from '../../domain/policy/permissions.js';
import type { Database } from '../../platform/postgres/database.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { membershipsWithin } from './audit-for-user.js';
import type { MemberAccessService } from './member-access.service.js';
import type { SessionService } from './session.service.js';

export interface OwnOrganization {
  readonly id: string;
  readonly name: string;
  readonly role: MemberRole;
  readonly reminders: boolean;
  readonly require_totp: boolean;
}

/** A person's own account, beside what opens it. */
export class AccountService {
  constructor(
    private readonly database: Database,
    private readonly access: MemberAccessService,
    private readonly sessions: SessionService,
  ) {}

  /** In which organizations, with which role; the oldest membership first. */
  async organizationsOf(userId: string): Promise<OwnOrganization[]> {
    return this.database.transaction(async (q) => {
      const own: OwnOrganization[] = [];
      for (const { orgId } of await membershipsWithin(q, userId)) {
        await scopeToOrganization(q, orgId);
        const rows = await q.query<OwnOrganization>(
          `SELECT o.id, o.name, m.role, m.reminders, o.require_totp
             FROM memberships m JOIN organizations o ON o.id = m.org_id
            WHERE m.org_id = $1 AND m.user_id = $2`,
          [orgId, userId],
        );
        own.push(...rows);
      }
      return own;
    });
  }

  /** False where the user is not in it. */
  async chooseOrganization(
    { userId, sessionId }: { readonly userId: string; readonly sessionId: string },
    orgId: string,
  ): Promise<boolean> {
    if ((await this.access.find(orgId, userId)) === null) return false;
    await this.sessions.chooseOrganization(sessionId, orgId);
    return true;
  }

  /** False where the user is not in it. */
  async setReminders(userId: string, orgId: string, reminders: boolean): Promise<boolean> {
    const rows = await this.database.tenant(orgId, (q) =>
      q.query(
        'UPDATE memberships SET reminders = $3 WHERE org_id = $1 AND user_id = $2 RETURNING user_id',
        [orgId, userId, reminders],
      ),
    );
    return rows.length > 0;
  }
}
