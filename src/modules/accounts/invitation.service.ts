import { randomUUID } from 'node:crypto';
import { may, type MemberRole } from '../../domain/policy/permissions.js';
import type { Clock } from '../../platform/clock.js';
import { hashPassword } from '../../platform/crypto/password.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import { mailSealedWithin } from '../mail/outbox.js';
import { addMemberWithin } from '../organizations/organization.service.js';
import { insertUserWithin } from '../organizations/user.service.js';
import { confirmAddressWithin } from './address.service.js';
import { newInvitationToken, organizationOfToken } from './invitation-token.js';
import type { MemberActor } from './member.service.js';
import { hashOpaqueToken } from './opaque-token.js';
import { faultOfPassword } from './password-rules.js';
import { startSessionWithin, type IssuedSession } from './session.service.js';

export type InviteOutcome =
  | { readonly kind: 'invited'; readonly invitationId: string; readonly expiresAtMs: number }
  | { readonly kind: 'not_permitted' | 'already_member' | 'too_many' };

export interface OpenInvitation {
  readonly id: string;
  readonly email: string;
  readonly role: MemberRole;
  readonly invitedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Who accepts: somebody with an account, or somebody who makes one for the address that was invited. */
export type Accepting =
  | { readonly kind: 'user'; readonly userId: string; readonly email: string }
  | { readonly kind: 'new'; readonly password: string | null; readonly client: string };

export type AcceptOutcome =
  | { readonly kind: 'joined'; readonly orgId: string; readonly session: IssuedSession | null }
  | { readonly kind: 'weak_password'; readonly message: string }
  /** `sign_in_first`: the address has an account. `other_address`: it is another's than the signed-in person's. */
  | {
      readonly kind:
        'unknown' | 'sign_in_first' | 'other_address' | 'already_member' | 'password_needed';
    };

interface Invitation {
  readonly id: string;
  readonly role: MemberRole;
  readonly sealed: Buffer;
  readonly invitedBy: string;
}

type Acceptable =
  | Exclude<AcceptOutcome, { kind: 'joined' }>
  | {
      readonly kind: 'acceptable';
      readonly invitation: Invitation;
      readonly email: string;
      /** What a new account's hash is made of. */
      readonly password: string | null;
    };

const INVITATION_MS_MAX = 7 * 24 * 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Of an organization in a day: it is no way to send mail to the world. */
const PER_DAY_MAX = 100;
/** Open ones; more than a week of the daily bound there cannot be. */
const LIST_MAX = 700;

/** What a sealed address is bound to. */
export function invitationAad(orgId: string, id: string): string {
  return `${orgId}:invitation:${id}`;
}

/** Invitations by mail: a token that works once, for a week, until somebody withdraws it. */
export class InvitationService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  async invite(
    orgId: string,
    { email, role }: { readonly email: string; readonly role: MemberRole },
    actor: MemberActor,
  ): Promise<InviteOutcome> {
    const atMs = this.clock.nowMs();
    return this.database.tenant(orgId, async (q) => {
      if (!mayInvite(await roleWithin(q, orgId, actor.id), role)) return { kind: 'not_permitted' };
      if (await isMember(q, orgId, email)) return { kind: 'already_member' };
      if (await isFull(q, orgId, atMs)) return { kind: 'too_many' };
      const [id, token] = [randomUUID(), newInvitationToken(orgId)];
      const expiresAtMs = atMs + INVITATION_MS_MAX;
      await q.query(
        `INSERT INTO invitations (org_id, id, token_hash, role, address_sealed, invited_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [
          orgId,
          id,
          hashOpaqueToken(token),
          role,
          this.secretBox.seal(email, invitationAad(orgId, id)),
          actor.id,
          new Date(atMs),
          new Date(expiresAtMs),
        ],
      );
      await mailSealedWithin(q, this.secretBox, orgId, {
        kind: 'invitation',
        dedupeKey: `invitation:${id}`,
        atMs,
        expiresAtMs,
        data: { role },
        secret: { address: email, token },
      });
      await auditWithin(q, orgId, {
        actor,
        action: 'member.invited',
        atMs,
        subject: id,
        newValue: role,
      });
      return { kind: 'invited', invitationId: id, expiresAtMs };
    });
  }

  /** The open ones, newest first. */
  async list(orgId: string): Promise<OpenInvitation[]> {
    const rows = await this.database.tenant(orgId, (q) =>
      q.query<Omit<OpenInvitation, 'email'> & { sealed: Buffer }>(
        `SELECT id, role, address_sealed AS sealed, invited_by AS "invitedBy", created_at AS "createdAt",
                expires_at AS "expiresAt"
           FROM invitations WHERE closed_at IS NULL AND expires_at > $1
          ORDER BY created_at DESC, id LIMIT ${LIST_MAX}`,
        [new Date(this.clock.nowMs())],
      ),
    );
    return rows.flatMap(({ sealed, ...row }) => {
      const email = this.#addressOf(orgId, row.id, sealed);
      return email === null ? [] : [{ ...row, email }];
    });
  }

  /** False where there is none that is open. */
  async withdraw(orgId: string, id: string, actor: MemberActor): Promise<boolean> {
    const atMs = this.clock.nowMs();
    return this.database.tenant(orgId, async (q) => {
      const closed = await q.query(
        `UPDATE invitations SET closed_at = $3
          WHERE org_id = $1 AND id = $2 AND closed_at IS NULL AND expires_at > $3 RETURNING id`,
        [orgId, id, new Date(atMs)],
      );
      if (closed.length === 0) return false;
      const action = 'member.invitation_withdrawn';
      await auditWithin(q, orgId, { actor, action, atMs, subject: id });
      return true;
    });
  }

  async accept(token: string, who: Accepting): Promise<AcceptOutcome> {
    const orgId = organizationOfToken(token);
    if (orgId === null) return { kind: 'unknown' };
    const look = (q: Queryable): Promise<Acceptable> => this.#lookWithin(q, orgId, token, who);
    const seen = await this.database.tenant(orgId, look);
    if (seen.kind !== 'acceptable') return seen;
    // Only now: a hash is dear, and a token that opens nothing gets nobody one. And before the transaction, which
    // would hold its locks for as long as it takes.
    const hash = seen.password === null ? null : await hashPassword(seen.password);
    return this.database.tenant(orgId, async (q) => {
      const found = await look(q);
      if (found.kind !== 'acceptable') return found;
      const { invitation, email } = found;
      if (who.kind === 'user') return this.#joinWithin(q, orgId, invitation, who.userId, null);
      const confirmedAt = new Date(this.clock.nowMs());
      const userId = hash === null ? null : await insertUserWithin(q, email, hash, confirmedAt);
      if (userId === null) return { kind: 'sign_in_first' };
      return this.#joinWithin(q, orgId, invitation, userId, who.client);
    });
  }

  /** Whether somebody may follow the invitation, as things are. */
  async #lookWithin(
    q: Queryable,
    orgId: string,
    token: string,
    who: Accepting,
  ): Promise<Acceptable> {
    const invitation = await this.#openWithin(q, orgId, token);
    const email = invitation && this.#addressOf(orgId, invitation.id, invitation.sealed);
    if (invitation === null || email === null) return { kind: 'unknown' };
    if (who.kind === 'user') {
      if (who.email.toLowerCase() !== email.toLowerCase()) return { kind: 'other_address' };
      return { kind: 'acceptable', invitation, email, password: null };
    }
    if (await hasAccount(q, email)) return { kind: 'sign_in_first' };
    const { password } = who;
    if (password === null) return { kind: 'password_needed' };
    const fault = faultOfPassword(password, email);
    if (fault !== null) return { kind: 'weak_password', message: fault };
    return { kind: 'acceptable', invitation, email, password };
  }

  async #joinWithin(
    q: Queryable,
    orgId: string,
    { id, role }: Invitation,
    userId: string,
    client: string | null,
  ): Promise<AcceptOutcome> {
    const atMs = this.clock.nowMs();
    if ((await roleWithin(q, orgId, userId)) !== null) return { kind: 'already_member' };
    await q.query('UPDATE invitations SET closed_at = $3 WHERE org_id = $1 AND id = $2', [
      orgId,
      id,
      new Date(atMs),
    ]);
    const actor = { kind: 'member', id: userId, role } as const;
    await addMemberWithin(q, orgId, { userId, role }, actor, atMs);
    if (client === null) {
      await confirmAddressWithin(q, userId, { atMs, by: 'invitation' });
      return { kind: 'joined', orgId, session: null };
    }
    await auditWithin(q, orgId, { actor, action: 'user.signed_up', atMs, subject: userId });
    const session = await startSessionWithin(q, { userId, client, currentOrgId: orgId, atMs });
    return { kind: 'joined', orgId, session };
  }

  /** Locked, so that it is accepted once. Void where who sent it could not send it any more. */
  async #openWithin(q: Queryable, orgId: string, token: string): Promise<Invitation | null> {
    const [found] = await q.query<Invitation>(
      `SELECT id, role, address_sealed AS sealed, invited_by AS "invitedBy" FROM invitations
        WHERE org_id = $1 AND token_hash = $2 AND closed_at IS NULL AND expires_at > $3 FOR UPDATE`,
      [orgId, hashOpaqueToken(token), new Date(this.clock.nowMs())],
    );
    if (!found) return null;
    return mayInvite(await roleWithin(q, orgId, found.invitedBy), found.role) ? found : null;
  }

  /** Null where the key that sealed it is gone: nobody knows any more whom it was for, and it is void. */
  #addressOf(orgId: string, id: string, sealed: Buffer): string | null {
    try {
      return this.secretBox.open(sealed, invitationAad(orgId, id)).toString();
    } catch (error) {
      if (error instanceof SecretBoxError) return null;
      throw error;
    }
  }
}

/** Nobody gives a rank above the own. */
function mayInvite(by: MemberRole | null, role: MemberRole): boolean {
  return by !== null && may(by, 'members.invite') && (role !== 'owner' || by === 'owner');
}

async function roleWithin(q: Queryable, orgId: string, userId: string): Promise<MemberRole | null> {
  const [row] = await q.query<{ role: MemberRole }>(
    'SELECT role FROM memberships WHERE org_id = $1 AND user_id = $2',
    [orgId, userId],
  );
  return row?.role ?? null;
}

async function isMember(q: Queryable, orgId: string, email: string): Promise<boolean> {
  const rows = await q.query(
    'SELECT m.user_id FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1 AND u.email = $2',
    [orgId, email],
  );
  return rows.length > 0;
}

async function hasAccount(q: Queryable, email: string): Promise<boolean> {
  return (await q.query('SELECT id FROM users WHERE email = $1', [email])).length > 0;
}

async function isFull(q: Queryable, orgId: string, atMs: number): Promise<boolean> {
  const [sent] = await q.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM invitations WHERE org_id = $1 AND created_at > $2',
    [orgId, new Date(atMs - DAY_MS)],
  );
  return (sent?.count ?? 0) >= PER_DAY_MAX;
}
