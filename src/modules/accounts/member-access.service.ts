import type { MemberRole } from '../../domain/policy/permissions.js';
import type { Database } from '../../platform/postgres/database.js';

export interface MemberAccess {
  readonly role: MemberRole;
  /** The organization asks for a second factor. */
  readonly requireTotp: boolean;
}

/** What somebody is in an organization, for the guard of the dashboard's API. */
export class MemberAccessService {
  constructor(private readonly database: Database) {}

  /** Null where the user is no member, or there is no such organization: nobody can tell which. */
  async find(orgId: string, userId: string): Promise<MemberAccess | null> {
    const [access] = await this.database.tenant(orgId, (q) =>
      q.query<MemberAccess>(
        `SELECT m.role, o.require_totp AS "requireTotp"
           FROM memberships m JOIN organizations o ON o.id = m.org_id
          WHERE m.org_id = $1 AND m.user_id = $2`,
        [orgId, userId],
      ),
    );
    return access ?? null;
  }
}
