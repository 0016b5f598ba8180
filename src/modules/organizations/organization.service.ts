import { randomBytes, randomUUID } from 'node:crypto';
import type { Provider } from '../../domain/routing/provider.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { auditWithin } from '../audit/audit-trail.js';
import { changedFields, changesToAudit } from '../audit/changed-fields.js';
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

/** What owners and admins may change. What is given changes, the rest stays. Null lifts a limit. */
export interface OrganizationChanges {
  readonly name?: string;
  readonly retentionClass?: RetentionClass;
  readonly allowedProviders?: readonly Provider[] | null;
  readonly allowedModels?: readonly string[] | null;
  readonly controlShareBp?: number;
}

const HASH_KEY_BYTES = 32;
const LIST_MAX = 10_000;
const CHANGEABLE: Readonly<Record<keyof OrganizationChanges, string>> = {
  name: 'name',
  retentionClass: 'retention_class',
  allowedProviders: 'allowed_providers',
  allowedModels: 'allowed_models',
  controlShareBp: 'control_share_bp',
};
const FIELDS = Object.keys(CHANGEABLE) as (keyof OrganizationChanges)[];
const COLUMNS = `id, name, status, routing_hold AS hold, retention_class AS "retentionClass", requests_per_minute AS "requestsPerMinute",
  allowed_providers AS "allowedProviders", allowed_models AS "allowedModels", control_share_bp AS "controlShareBp", is_first AS "isFirst",
  created_at AS "createdAt"`;

/** Organizations and their members. Nothing here changes a status: that has one door of its own. */
export class OrganizationService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  async create(fields: NewOrganization, actor: Actor): Promise<Organization> {
    return this.database.transaction((q) => this.createWithin(q, fields, actor));
  }

  /** As a part of a larger transaction, which it leaves scoped to the new organization. */
  async createWithin(q: Queryable, fields: NewOrganization, actor: Actor): Promise<Organization> {
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
    const organization = only(rows);
    await auditWithin(q, id, {
      actor,
      action: 'organization.created',
      atMs: this.clock.nowMs(),
      details: { retention_class: organization.retentionClass, is_first: organization.isFirst },
    });
    return organization;
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

  /** Null where there is no such organization. What is given as it was before is no change, and leaves no entry. */
  async update(
    orgId: string,
    changes: OrganizationChanges,
    actor: Actor,
  ): Promise<Organization | null> {
    return this.database.tenant(orgId, async (q) => {
      const before = await lock(q, orgId);
      if (!before) return null;
      const changed = changedFields(FIELDS, before, changes);
      if (changed.length === 0) return before;
      const sets = changed.map((field, index) => `${CHANGEABLE[field]} = $${index + 2}`);
      const rows = await q.query<Organization>(
        `UPDATE organizations SET ${sets.join(', ')} WHERE id = $1 RETURNING ${COLUMNS}`,
        [orgId, ...changed.map((field) => changes[field])],
      );
      await auditWithin(q, orgId, {
        actor,
        action: 'organization.changed',
        atMs: this.clock.nowMs(),
        details: changesToAudit(changed, CHANGEABLE, before, changes),
      });
      return only(rows);
    });
  }

  /** What an operator sets: calls per minute, null for the installation's default. Null where there is no such organization. */
  async setRequestsPerMinute(
    orgId: string,
    value: number | null,
    actor: Actor,
  ): Promise<Organization | null> {
    return this.database.tenant(orgId, async (q) => {
      const before = await lock(q, orgId);
      if (!before || before.requestsPerMinute === value) return before;
      const rows = await q.query<Organization>(
        `UPDATE organizations SET requests_per_minute = $2 WHERE id = $1 RETURNING ${COLUMNS}`,
        [orgId, value],
      );
      await auditWithin(q, orgId, {
        actor,
        action: 'organization.limits_changed',
        atMs: this.clock.nowMs(),
        oldValue: before.requestsPerMinute?.toString() ?? null,
        newValue: value?.toString() ?? null,
        details: { fields: ['requests_per_minute'] },
      });
      return only(rows);
    });
  }

  async addMember(orgId: string, userId: string, role: MemberRole, actor: Actor): Promise<void> {
    const atMs = this.clock.nowMs();
    await this.database.tenant(orgId, (q) =>
      addMemberWithin(q, orgId, { userId, role }, actor, atMs),
    );
  }
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function addMemberWithin(
  q: Queryable,
  orgId: string,
  { userId, role }: { readonly userId: string; readonly role: MemberRole },
  actor: Actor,
  atMs: number,
): Promise<void> {
  await q.query('INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3)', [
    orgId,
    userId,
    role,
  ]);
  await auditWithin(q, orgId, {
    actor,
    action: 'member.joined',
    atMs,
    subject: userId,
    newValue: role,
  });
}

async function lock(q: Queryable, orgId: string): Promise<Organization | null> {
  const [row] = await q.query<Organization>(
    `SELECT ${COLUMNS} FROM organizations WHERE id = $1 FOR NO KEY UPDATE`,
    [orgId],
  );
  return row ?? null;
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (rows.length !== 1 || row === undefined)
    throw new Error(`Expected one row, got ${rows.length}`);
  return row;
}
