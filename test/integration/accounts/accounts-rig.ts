import { randomBytes } from 'node:crypto';
import type { MemberRole } from '../../../src/domain/policy/permissions.js';
import { createAccounts } from '../../../src/modules/accounts/create-accounts.js';
import type { MemberActor } from '../../../src/modules/accounts/member.service.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { outboxAad } from '../../../src/modules/mail/outbox.js';
import { addMemberWithin } from '../../../src/modules/organizations/organization.service.js';
import { insertUserWithin } from '../../../src/modules/organizations/user.service.js';
import { hashPassword } from '../../../src/platform/crypto/password.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

export const PASSWORD = 'a long enough password';

export interface TestPerson {
  readonly userId: string;
  readonly email: string;
}

export type AccountsRig = Awaited<ReturnType<typeof startAccounts>>;

/** The accounts on a database of their own, at a time that the test says. */
export async function startAccounts() {
  const db = await testDatabase();
  let nowMs = Date.UTC(2026, 10, 20, 12);
  const clock = { nowMs: () => nowMs };
  const { database, secretBox } = db;
  const logger = createLogger('silent');
  const accounts = createAccounts({ database, secretBox, clock, logger });
  const trail = new AuditTrail(database);

  const hash = await hashPassword(PASSWORD);
  const addPerson = async ({ confirmed = true } = {}): Promise<TestPerson> => {
    const email = `p${randomBytes(6).toString('hex')}@example.test`;
    const userId = await insertUserWithin(
      database,
      email,
      hash,
      confirmed ? new Date(nowMs) : null,
    );
    if (userId === null) throw new Error('the address is taken');
    return { userId, email };
  };
  const join = (orgId: string, userId: string, role: MemberRole): Promise<void> =>
    database.tenant(orgId, (q) => addMemberWithin(q, orgId, { userId, role }, ACTOR, nowMs));

  return {
    ...accounts,
    db,
    clock,
    pass: (ms: number) => (nowMs += ms),
    addPerson,
    join,
    /** An organization with these people in it. */
    async organizationOf(...roles: MemberRole[]) {
      const { orgId } = await db.createTenant();
      const people: TestPerson[] = [];
      for (const role of roles) {
        const person = await addPerson();
        await join(orgId, person.userId, role);
        people.push(person);
      }
      return { orgId, people };
    },
    actor: (person: TestPerson, role: MemberRole): MemberActor => ({
      kind: 'member',
      id: person.userId,
      role,
    }),
    async rolesIn(orgId: string): Promise<Record<string, MemberRole>> {
      const members = await accounts.members.list(orgId);
      return Object.fromEntries(members.map(({ userId, role }) => [userId, role]));
    },
    async signedIn(person: TestPerson) {
      const outcome = await accounts.signIns.signIn({
        email: person.email,
        password: PASSWORD,
        client: 'A program',
      });
      if (outcome.kind !== 'signed_in') throw new Error(outcome.kind);
      return outcome.session;
    },
    /** The actions in a trail, oldest first. */
    async actions(orgId: string): Promise<string[]> {
      const entries = await trail.list(orgId, { limit: 500 });
      return entries.map(({ action }) => action).toReversed();
    },
    entries: (orgId: string) => trail.list(orgId, { limit: 500 }),
    /** The sealed parts of the mails of a kind, newest last. */
    async mails(kind: string, orgId = INSTALLATION_ID) {
      const rows = await database.tenant(orgId, (q) =>
        q.query<{ id: string; sealed: Buffer | null; recipient: string | null; data: object }>(
          `SELECT id, sealed, recipient_user_id AS recipient, data FROM outbox
            WHERE kind = $1 ORDER BY created_at, id`,
          [kind],
        ),
      );
      return rows.map(({ id, sealed, recipient, data }) => ({
        recipient,
        data,
        secret: (sealed === null
          ? {}
          : JSON.parse(secretBox.open(sealed, outboxAad(id)).toString())) as {
          readonly token?: string;
          readonly address?: string;
        },
      }));
    },
    stop: () => db.close(),
  };
}
