import { actorName } from '../../domain/subscription/actor.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { INSTALLATION_ID, type AuditEntry, type NewAuditEntry } from './audit-entry.js';

/** The columns of an `AuditEntry`, in the form in which they were hashed. */
export const AUDIT_COLUMNS = `org_id AS "orgId", seq::float8 AS seq,
  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
  actor_kind AS "actorKind", actor, action, subject, old_value AS "oldValue", new_value AS "newValue", reason,
  details::text AS details, encode(prev_hash, 'hex') AS "prevHash", encode(hash, 'hex') AS hash`;

export const AUDIT_PAGE_MAX = 500;

/**
 * Adds an entry as a part of a transaction that is scoped to the organization: what is audited and its entry are
 * stored together or not at all. Returns the entry's number.
 */
export async function auditWithin(
  q: Queryable,
  orgId: string,
  entry: NewAuditEntry,
): Promise<number> {
  const [row] = await q.query<{ seq: string }>(
    `INSERT INTO audit_log (org_id, at, actor_kind, actor, action, subject, old_value, new_value, reason, details)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING seq`,
    [
      orgId,
      new Date(entry.atMs),
      entry.actor.kind,
      actorName(entry.actor),
      entry.action,
      entry.subject ?? null,
      entry.oldValue ?? null,
      entry.newValue ?? null,
      entry.reason ?? null,
      JSON.stringify(entry.details ?? {}),
    ],
  );
  if (!row) throw new Error('The audit entry was not stored');
  return Number(row.seq);
}

/** Adds an entry to the installation's own chain; leaves the transaction scoped to it. */
export async function auditInstallationWithin(q: Queryable, entry: NewAuditEntry): Promise<number> {
  await scopeToOrganization(q, INSTALLATION_ID);
  return auditWithin(q, INSTALLATION_ID, entry);
}

/** The trail of an organization, or of the installation (`INSTALLATION_ID`). */
export class AuditTrail {
  constructor(private readonly database: Database) {}

  /** In a transaction of its own: for what changes nothing else in the database, such as a failed login. */
  async add(orgId: string, entry: NewAuditEntry): Promise<number> {
    return this.database.tenant(orgId, (q) => auditWithin(q, orgId, entry));
  }

  /** Newest first; `before` takes the smallest number of the page before. At most 500. */
  async list(
    orgId: string,
    options: { before?: number; limit?: number } = {},
  ): Promise<AuditEntry[]> {
    const limit = Math.min(options.limit ?? 100, AUDIT_PAGE_MAX);
    return this.database.tenant(orgId, (q) =>
      q.query<AuditEntry>(
        `SELECT ${AUDIT_COLUMNS} FROM audit_log WHERE $1::bigint IS NULL OR seq < $1
          ORDER BY audit_log.seq DESC LIMIT ${limit}`,
        [options.before ?? null],
      ),
    );
  }
}
