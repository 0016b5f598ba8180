import { randomBytes, randomUUID } from 'node:crypto';
import type { Provider } from '../../domain/routing/provider.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import type { RetentionClass } from '../records/call-record.js';
import { hashKeyAad } from './hash-key.js';
import type { MemberRole } from '../../domain/policy/permissions.js';
import type { Organization } from './organization.js';

export interface NewOrganization {
  readonly name: string;
  readonly retentionClass?: RetentionClass;
  /** The organization of the first start; there is one at most. */
  readonly isFirst?: boolean;
}

/** What is given changes, the rest stays. Null lifts a limit. */
export interface OrganizationChanges {
  readonly name?: string;
  readonly retentionClass?: RetentionClass;
  readonly requestsPerMinute?: number | null;
  readonly allowedProviders?: readonly Provider[] | null;
  readonly allowedModels?: readonly string[] | null;
}

const HASH_KEY_BYTES = 32;
const LIST_MAX = 10_000;
const COLUMNS = `id, name, status, retention_class AS "retentionClass", requests_per_minute AS "requestsPerMinute",
  allowed_providers AS "allowedProviders", allowed_models AS "allowedModels", is_first AS "isFirst",
  created_at AS "createdAt"`;

/** Organizations and their members. Nothing here changes a status: that has one door of its own. */
export class OrganizationService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
  ) {}

  async create(fields: NewOrganization): Promise<Organization> {
    return this.database.transaction((q) => this.createWithin(q, fields));
  }

  /** As a part of a larger transaction, which it leaves scoped to the new organization. */
  async createWithin(q: Queryable, fields: NewOrganization): Promise<Organization> {
    const id = randomUUID();
    await scopeToOrganization(q, id);
    const rows = await q.query<Organization>(
      `INSERT INTO organizations (id, name, retention_class, is_first, hash_key_sealed)
       VALUES ($1, $2, $3, $4, $5) RETURNING ${COLUMNS}`,
      [
        id,
        fields.name,
        fields.retentionClass ?? 'd90',
        fields.isFirst ?? false,
        this.secretBox.seal(randomBytes(HASH_KEY_BYTES), hashKeyAad(id)),
      ],
    );
    return only(rows);
  }

  /** Oldest first. */
  async list(): Promise<Organization[]> {
    return this.database.directory((q) =>
      q.query<Organization>(
        `SELECT ${COLUMNS} FROM organizations ORDER BY created_at, id LIMIT ${LIST_MAX}`,
      ),
    );
  }

  async find(orgId: string): Promise<Organization | null> {
    const rows = await this.database.tenant(orgId, (q) =>
      q.query<Organization>(`SELECT ${COLUMNS} FROM organizations`),
    );
    return rows[0] ?? null;
  }

  /** Null where there is no such organization. */
  async update(orgId: string, changes: OrganizationChanges): Promise<Organization | null> {
    const columns: Readonly<Record<keyof OrganizationChanges, string>> = {
      name: 'name',
      retentionClass: 'retention_class',
      requestsPerMinute: 'requests_per_minute',
      allowedProviders: 'allowed_providers',
      allowedModels: 'allowed_models',
    };
    const given = (Object.keys(columns) as (keyof OrganizationChanges)[]).filter(
      (field) => changes[field] !== undefined,
    );
    if (given.length === 0) return this.find(orgId);
    const sets = given.map((field, index) => `${columns[field]} = $${index + 1}`);
    const rows = await this.database.tenant(orgId, (q) =>
      q.query<Organization>(
        `UPDATE organizations SET ${sets.join(', ')} RETURNING ${COLUMNS}`,
        given.map((field) => changes[field]),
      ),
    );
    return rows[0] ?? null;
  }

  async addMember(orgId: string, userId: string, role: MemberRole): Promise<void> {
    await this.database.tenant(orgId, (q) => addMemberWithin(q, orgId, userId, role));
  }

  /** The organizations that a user belongs to, for sign-in. */
  async membershipsOf(userId: string): Promise<{ orgId: string; role: MemberRole }[]> {
    return this.database.user(userId, (q) =>
      q.query(`SELECT org_id AS "orgId", role FROM memberships ORDER BY created_at LIMIT 1000`),
    );
  }
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function addMemberWithin(
  q: Queryable,
  orgId: string,
  userId: string,
  role: MemberRole,
): Promise<void> {
  await q.query('INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3)', [
    orgId,
    userId,
    role,
  ]);
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (rows.length !== 1 || row === undefined)
    throw new Error(`Expected one row, got ${rows.length}`);
  return row;
}
