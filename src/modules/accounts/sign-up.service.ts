import type { Clock } from '../../platform/clock.js';
import { hashPassword } from '../../platform/crypto/password.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { auditWithin } from '../audit/audit-trail.js';
import { mailUserWithin } from '../mail/outbox.js';
import {
  addMemberWithin,
  type OrganizationService,
} from '../organizations/organization.service.js';
import { insertUserWithin } from '../organizations/user.service.js';
import { mailTokenWithin } from './mailed-token.js';
import { faultOfPassword } from './password-rules.js';

export interface NewAccount {
  readonly email: string;
  readonly password: string;
  readonly organizationName: string;
}

/** `accepted` says nothing of whether the address was new. */
export type SignUpOutcome =
  { readonly kind: 'accepted' } | { readonly kind: 'weak_password'; readonly message: string };

const DAY_MS = 24 * 60 * 60_000;

/**
 * Makes a person, their organization and its owner, and mails the link that confirms the address. Whose address has an
 * account already learns of it by mail.
 */
export class SignUpService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly organizations: OrganizationService,
    private readonly clock: Clock,
  ) {}

  async signUp({ email, password, organizationName }: NewAccount): Promise<SignUpOutcome> {
    const fault = faultOfPassword(password, email);
    if (fault !== null) return { kind: 'weak_password', message: fault };
    // Before it is known whether it is needed: a taken address costs the same time.
    const hash = await hashPassword(password);
    await this.database.transaction(async (q) => {
      const userId = await insertUserWithin(q, email, hash, null);
      if (userId === null) await this.#tellOwnerOf(q, email);
      else await this.#makeOrganization(q, userId, organizationName);
    });
    return { kind: 'accepted' };
  }

  async #makeOrganization(q: Queryable, userId: string, name: string): Promise<void> {
    const atMs = this.clock.nowMs();
    const actor = { kind: 'member', id: userId, role: 'owner' } as const;
    const { id } = await this.organizations.createWithin(q, { name }, actor);
    await addMemberWithin(q, id, { userId, role: 'owner' }, actor, atMs);
    await auditWithin(q, id, { actor, action: 'user.signed_up', atMs, subject: userId });
    const purpose = 'address_confirmation';
    await mailTokenWithin(q, this.secretBox, { userId, purpose, atMs });
  }

  /** Once a day: nobody fills another's inbox. */
  async #tellOwnerOf(q: Queryable, email: string): Promise<void> {
    const atMs = this.clock.nowMs();
    const [user] = await q.query<{ id: string }>('SELECT id FROM users WHERE email = $1', [
      email.trim(),
    ]);
    if (!user) return;
    await scopeToOrganization(q, INSTALLATION_ID);
    await mailUserWithin(q, INSTALLATION_ID, user.id, {
      kind: 'email_taken',
      dedupeKey: `email_taken:${Math.floor(atMs / DAY_MS)}`,
      atMs,
    });
  }
}
