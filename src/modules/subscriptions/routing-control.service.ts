import { actorName, type Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { AUDIT_COLUMNS } from '../audit/audit-trail.js';
import { INSTALLATION_ID, type AuditEntry } from '../audit/audit-entry.js';

/** The switch for everybody, and the entry that tells who turned it last; null where nobody ever did. */
export interface GlobalRouting {
  readonly enabled: boolean;
  readonly lastEntry: AuditEntry | null;
}

/** Routing for all organizations at once. Off, everybody passes through, whatever their status. */
export class RoutingControl {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  async global(): Promise<GlobalRouting> {
    return this.database.transaction((q) => read(q));
  }

  /** `changed`: false where it stood so already, and then nothing is written. */
  async setGlobal(
    enabled: boolean,
    actor: Actor,
    reason: string,
  ): Promise<GlobalRouting & { readonly changed: boolean }> {
    return this.database.transaction(async (q) => {
      const [row] = await q.query<{ changed: boolean }>(
        'SELECT set_global_routing($1, $2, $3, $4, $5) AS changed',
        [enabled, new Date(this.clock.nowMs()), actor.kind, actorName(actor), reason],
      );
      return { ...(await read(q)), changed: row?.changed === true };
    });
  }
}

async function read(q: Queryable): Promise<GlobalRouting> {
  await scopeToOrganization(q, INSTALLATION_ID);
  const [state] = await q.query<{ enabled: boolean }>(
    'SELECT routing_enabled AS enabled FROM tenancy_version',
  );
  if (!state) throw new Error('The row of the global switch is missing');
  const [lastEntry] = await q.query<AuditEntry>(
    `SELECT ${AUDIT_COLUMNS} FROM audit_log WHERE action = 'routing.switch' ORDER BY audit_log.seq DESC LIMIT 1`,
  );
  return { enabled: state.enabled, lastEntry: lastEntry ?? null };
}
