import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { resealWithin } from '../mail/outbox-rekey.js';
import { invitationAad } from '../accounts/invitation.service.js';
import { userTotpAad } from '../accounts/second-factor.js';
import { hashKeyAad } from '../organizations/hash-key.js';
import { providerKeyAad } from '../provider-keys/provider-key.service.js';
import { operatorTotpAad } from './operator-totp.js';

/** Where sealed values are kept. */
type Place = 'providerKeys' | 'hashKeys' | 'invitations' | 'mail' | 'users' | 'operators';

export interface RekeyReport {
  readonly organizations: number;
  readonly resealed: Readonly<Record<Place, number>>;
  /** Values that were under the current key before: done by an earlier run, or new. */
  readonly alreadyCurrent: number;
  /** Values that neither key opens. The previous key must be kept until this is 0. */
  readonly unreadable: number;
}

interface Tally {
  readonly resealed: Record<Place, number>;
  alreadyCurrent: number;
  unreadable: number;
}

interface SealedRow {
  readonly id: string;
  readonly sealed: Buffer;
  readonly provider?: string;
}

/** Rows of one place: how they are found, what each is bound to, and how it is stored. */
interface Sealed {
  readonly place: Place;
  readonly select: string;
  readonly update: string;
  aadOf(row: SealedRow, orgId: string): string;
}

const OF_ORGANIZATION: readonly Sealed[] = [
  {
    place: 'hashKeys',
    select: `SELECT id, hash_key_sealed AS sealed FROM organizations
              WHERE hash_key_sealed IS NOT NULL FOR UPDATE`,
    update: 'UPDATE organizations SET hash_key_sealed = $1 WHERE id = $2',
    aadOf: (_row, orgId) => hashKeyAad(orgId),
  },
  {
    place: 'providerKeys',
    select: 'SELECT id, provider, sealed FROM provider_keys WHERE revoked_at IS NULL FOR UPDATE',
    update: 'UPDATE provider_keys SET sealed = $1, key_id = $3 WHERE id = $2',
    aadOf: ({ provider = '' }, orgId) => providerKeyAad(orgId, provider),
  },
  {
    place: 'invitations',
    select:
      'SELECT id, address_sealed AS sealed FROM invitations WHERE closed_at IS NULL FOR UPDATE',
    update: 'UPDATE invitations SET address_sealed = $1 WHERE id = $2',
    aadOf: ({ id }, orgId) => invitationAad(orgId, id),
  },
];

const PAGE = 500;

const USERS: Sealed = {
  place: 'users',
  select: `SELECT id, totp_secret_sealed AS sealed FROM users
            WHERE totp_secret_sealed IS NOT NULL AND ($1::uuid IS NULL OR id > $1)
            ORDER BY id LIMIT ${PAGE} FOR UPDATE`,
  update: 'UPDATE users SET totp_secret_sealed = $1 WHERE id = $2',
  aadOf: ({ id }) => userTotpAad(id),
};
const OPERATORS: Sealed = {
  place: 'operators',
  select: 'SELECT id, totp_secret_sealed AS sealed FROM operators FOR UPDATE',
  update: 'UPDATE operators SET totp_secret_sealed = $1 WHERE id = $2',
  aadOf: ({ id }) => operatorTotpAad(id),
};

/**
 * Seals everything anew under the current encryption key. One transaction per organization: a run that is
 * interrupted is taken up by the next, which skips what is done. Keeps to the runtime's own rights: it lists
 * the organizations and then enters each like any other work does.
 */
export class RekeyService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  async run(
    actor: Actor,
    onOrganization: (orgId: string) => void = () => undefined,
  ): Promise<RekeyReport> {
    const none = { providerKeys: 0, hashKeys: 0, invitations: 0, mail: 0, users: 0, operators: 0 };
    const tally: Tally = { resealed: none, alreadyCurrent: 0, unreadable: 0 };
    let organizations = 0;
    for (let after: string | null = null; ;) {
      const page: string[] = await this.#organizationsAfter(after);
      for (const orgId of page) {
        await this.database.tenant(orgId, (q) => this.#resealOrganization(q, orgId, tally));
        organizations += 1;
        onOrganization(orgId);
      }
      if (page.length < PAGE) break;
      after = page.at(-1) ?? null;
    }
    await this.#resealUsers(tally);
    return this.database.transaction(async (q) => {
      await this.#resealAll(q, OPERATORS, '', tally);
      const report = { organizations, ...tally };
      await auditInstallationWithin(q, {
        actor,
        action: 'encryption.rekeyed',
        atMs: this.clock.nowMs(),
        details: { ...report },
      });
      return report;
    });
  }

  async #organizationsAfter(after: string | null): Promise<string[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ id: string }>(
        `SELECT id FROM organizations WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT ${PAGE}`,
        [after],
      ),
    );
    return rows.map((row) => row.id);
  }

  async #resealOrganization(q: Queryable, orgId: string, tally: Tally): Promise<void> {
    for (const sealed of OF_ORGANIZATION) await this.#resealAll(q, sealed, orgId, tally);
    await this.#resealMail(q, orgId, tally);
  }

  async #resealMail(q: Queryable, orgId: string, tally: Tally): Promise<void> {
    const mail = await resealWithin(q, orgId, this.secretBox);
    tally.resealed.mail += mail.resealed;
    tally.alreadyCurrent += mail.alreadyCurrent;
    tally.unreadable += mail.unreadable;
  }

  /** Their second factors; and the mail of no organization, which goes to them. */
  async #resealUsers(tally: Tally): Promise<void> {
    await this.database.tenant(INSTALLATION_ID, (q) => this.#resealMail(q, INSTALLATION_ID, tally));
    for (let after: string | null = null; ;) {
      const from: string | null = after;
      const ids: string[] = await this.database.transaction((q) =>
        this.#resealAll(q, USERS, '', tally, [from]),
      );
      if (ids.length < PAGE) return;
      after = ids.at(-1) ?? null;
    }
  }

  /** Returns the ids of the rows that it looked at. */
  async #resealAll(
    q: Queryable,
    { place, select, update, aadOf }: Sealed,
    orgId: string,
    tally: Tally,
    parameters: readonly unknown[] = [],
  ): Promise<string[]> {
    const rows = await q.query<SealedRow>(select, parameters);
    for (const row of rows) {
      const sealed = this.#reseal(row.sealed, aadOf(row, orgId), tally);
      if (sealed === null) continue;
      // Where the row notes which key sealed it.
      const keyId = update.includes('$3') ? [this.secretBox.currentKeyId] : [];
      await q.query(update, [sealed, row.id, ...keyId]);
      tally.resealed[place] += 1;
    }
    return rows.map(({ id }) => id);
  }

  /** Null where there is nothing to store. */
  #reseal(sealed: Buffer, aad: string, tally: Tally): Buffer | null {
    if (this.secretBox.isCurrent(sealed)) {
      tally.alreadyCurrent += 1;
      return null;
    }
    try {
      return this.secretBox.reseal(sealed, aad);
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      tally.unreadable += 1;
      return null;
    }
  }
}
