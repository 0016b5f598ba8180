import type { SubscriptionStatus } from '../../../src/domain/subscription/status.js';
import { AUDIT_COLUMNS } from '../../../src/modules/audit/audit-trail.js';
import type { AuditEntry } from '../../../src/modules/audit/audit-entry.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import type { TestDatabase } from '../../support/postgres.js';

/** Everything that the door guards, of all organizations. */
export async function guarded(db: TestDatabase): Promise<unknown> {
  const read = (sql: string) => db.owner.query(sql);
  return {
    organizations: await read(
      'SELECT id, status, routing_hold, activated_at FROM organizations ORDER BY id',
    ),
    entries: await read('SELECT * FROM audit_log ORDER BY org_id, seq'),
    heads: await read('SELECT * FROM audit_heads ORDER BY org_id'),
    routing: await read('SELECT routing_enabled FROM tenancy_version'),
  };
}

export async function entriesOf(db: TestDatabase, orgId: string): Promise<AuditEntry[]> {
  return db.database.tenant(orgId, (q) =>
    q.query<AuditEntry>(`SELECT ${AUDIT_COLUMNS} FROM audit_log ORDER BY audit_log.seq`),
  );
}

export async function statusOf(
  db: TestDatabase,
  orgId: string,
): Promise<{ status: SubscriptionStatus; hold: boolean }> {
  const [row] = await db.database.tenant(orgId, (q) =>
    q.query<{ status: SubscriptionStatus; hold: boolean }>(
      'SELECT status, routing_hold AS hold FROM organizations',
    ),
  );
  if (!row) throw new Error('no such organization');
  return row;
}

const GUARDED_TABLES = ['audit_log', 'audit_heads', 'organizations', 'tenancy_version'];

/** As somebody who owns the schema and takes its triggers and row security away for the moment. */
export async function tamper(
  db: TestDatabase,
  work: (q: Queryable) => Promise<unknown>,
): Promise<void> {
  await db.owner.transaction(async (q) => {
    for (const table of GUARDED_TABLES) {
      await q.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
      await q.query(`ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`);
    }
    await work(q);
    for (const table of GUARDED_TABLES) {
      await q.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
      if (table !== 'tenancy_version') {
        await q.query(`ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`);
      }
    }
  });
}
