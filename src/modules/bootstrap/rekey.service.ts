import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { hashKeyAad } from '../organizations/hash-key.js';
import { providerKeyAad } from '../provider-keys/provider-key.service.js';
import { operatorTotpAad } from './operator-totp.js';

export interface RekeyReport {
  readonly organizations: number;
  readonly resealed: {
    readonly providerKeys: number;
    readonly hashKeys: number;
    readonly operators: number;
  };
  /** Values that were under the current key before: done by an earlier run, or new. */
  readonly alreadyCurrent: number;
  /** Values that neither key opens. The previous key must be kept until this is 0. */
  readonly unreadable: number;
}

interface Tally {
  resealed: { providerKeys: number; hashKeys: number; operators: number };
  alreadyCurrent: number;
  unreadable: number;
}

interface SealedRow {
  readonly id: string;
  readonly sealed: Buffer;
  readonly aad: string;
}

const PAGE = 500;

/**
 * Seals everything anew under the current encryption key. One transaction per organization: a run that is
 * interrupted is taken up by the next, which skips what is done. Keeps to the runtime's own rights: it lists
 * the organizations and then enters each like any other work does.
 */
export class RekeyService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
  ) {}

  async run(onOrganization: (orgId: string) => void = () => undefined): Promise<RekeyReport> {
    const tally: Tally = {
      resealed: { providerKeys: 0, hashKeys: 0, operators: 0 },
      alreadyCurrent: 0,
      unreadable: 0,
    };
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
    await this.database.transaction((q) => this.#resealOperators(q, tally));
    return { organizations, ...tally };
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
    const [organization] = await q.query<{ sealed: Buffer }>(
      `SELECT hash_key_sealed AS sealed FROM organizations
        WHERE hash_key_sealed IS NOT NULL FOR UPDATE`,
    );
    if (organization) {
      const row = { id: orgId, sealed: organization.sealed, aad: hashKeyAad(orgId) };
      tally.resealed.hashKeys += await this.#reseal(row, tally, (sealed) =>
        q.query('UPDATE organizations SET hash_key_sealed = $1 WHERE id = $2', [sealed, orgId]),
      );
    }
    const keys = await q.query<{ id: string; provider: string; sealed: Buffer }>(
      'SELECT id, provider, sealed FROM provider_keys WHERE revoked_at IS NULL FOR UPDATE',
    );
    for (const key of keys) {
      const row = { ...key, aad: providerKeyAad(orgId, key.provider) };
      tally.resealed.providerKeys += await this.#reseal(row, tally, (sealed) =>
        q.query('UPDATE provider_keys SET sealed = $1, key_id = $2 WHERE id = $3', [
          sealed,
          this.secretBox.currentKeyId,
          key.id,
        ]),
      );
    }
  }

  async #resealOperators(q: Queryable, tally: Tally): Promise<void> {
    const operators = await q.query<{ id: string; sealed: Buffer }>(
      'SELECT id, totp_secret_sealed AS sealed FROM operators FOR UPDATE',
    );
    for (const operator of operators) {
      const row = { ...operator, aad: operatorTotpAad(operator.id) };
      tally.resealed.operators += await this.#reseal(row, tally, (sealed) =>
        q.query('UPDATE operators SET totp_secret_sealed = $1 WHERE id = $2', [
          sealed,
          operator.id,
        ]),
      );
    }
  }

  /** 1 where the value was sealed anew. */
  async #reseal(
    row: SealedRow,
    tally: Tally,
    store: (sealed: Buffer) => Promise<unknown>,
  ): Promise<0 | 1> {
    if (this.secretBox.isCurrent(row.sealed)) {
      tally.alreadyCurrent += 1;
      return 0;
    }
    try {
      await store(this.secretBox.reseal(row.sealed, row.aad));
      return 1;
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      tally.unreadable += 1;
      return 0;
    }
  }
}
