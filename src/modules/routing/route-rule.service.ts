import { randomUUID } from 'node:crypto';
import { actorName, type Actor } from '../../domain/subscription/actor.js';
import type { Target } from '../../domain/routing/decision.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';

/** What stands for every class of a project that has no rule of its own. */
export const EVERY_CLASS = '*';

/** Live rules of an organization; `find_principal` answers with no more. */
export const ROUTE_RULES_MAX = 500;

/** A class of calls, and the models that they may go to instead of the one that was asked for. */
export interface StoredRouteRule {
  readonly id: string;
  readonly projectId: string;
  readonly routeClass: string;
  /** In the order of preference. */
  readonly targets: readonly Target[];
  readonly createdBy: string;
  readonly createdAt: Date;
}

export type NewRouteRule = Pick<StoredRouteRule, 'projectId' | 'routeClass' | 'targets'>;

export type SetRule =
  | { readonly kind: 'set'; readonly rule: StoredRouteRule }
  /** The organization has no such project. */
  | { readonly kind: 'unknown_project' }
  /** The organization has `ROUTE_RULES_MAX` live rules. */
  | { readonly kind: 'too_many' };

const COLUMNS = `id, project_id AS "projectId", route_class AS "routeClass", targets,
  created_by AS "createdBy", created_at AS "createdAt"`;

/** Rules that people set by hand. They are never changed: a class's new rule takes the place of the one before. */
export class RouteRuleService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Replicas route by it within a second. */
  async set(orgId: string, fields: NewRouteRule, actor: Actor): Promise<SetRule> {
    return this.database.tenant(orgId, async (q): Promise<SetRule> => {
      // One change of an organization's rules at a time, as the bound follows from what is there.
      await q.query('SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE', [orgId]);
      const projects = await q.query('SELECT id FROM projects WHERE id = $1', [fields.projectId]);
      if (projects.length === 0) return { kind: 'unknown_project' };
      if ((await countOthers(q, fields)) >= ROUTE_RULES_MAX) return { kind: 'too_many' };
      const atMs = this.clock.nowMs();
      const replaced = await revoke(q, 'project_id = $2 AND route_class = $3', atMs, [
        fields.projectId,
        fields.routeClass,
      ]);
      const [rule] = await q.query<StoredRouteRule>(
        `INSERT INTO route_rules (org_id, id, project_id, route_class, targets, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8 / 1000)) RETURNING ${COLUMNS}`,
        [
          orgId,
          randomUUID(),
          fields.projectId,
          fields.routeClass,
          JSON.stringify(fields.targets),
          `${actor.kind} ${actorName(actor)}`,
          atMs,
        ],
      );
      if (!rule) throw new Error('The rule was not stored');
      await auditWithin(q, orgId, {
        actor,
        action: 'route_rule.set',
        atMs,
        subject: rule.id,
        details: {
          project_id: rule.projectId,
          route_class: rule.routeClass,
          targets: rule.targets.map(({ provider, model }) => `${provider}/${model}`),
          replaced: replaced[0]?.id ?? null,
        },
      });
      return { kind: 'set', rule };
    });
  }

  /** False where there is no such live rule. */
  async revoke(orgId: string, ruleId: string, actor: Actor): Promise<boolean> {
    return this.database.tenant(orgId, async (q) => {
      const atMs = this.clock.nowMs();
      const [revoked] = await revoke(q, 'id = $2', atMs, [ruleId]);
      if (!revoked) return false;
      await auditWithin(q, orgId, { actor, action: 'route_rule.revoked', atMs, subject: ruleId });
      return true;
    });
  }

  /** The live ones, oldest first. */
  async list(orgId: string): Promise<StoredRouteRule[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<StoredRouteRule>(
        `SELECT ${COLUMNS} FROM route_rules WHERE revoked_at IS NULL
          ORDER BY created_at, id LIMIT ${ROUTE_RULES_MAX}`,
      ),
    );
  }
}

function revoke(
  q: Queryable,
  which: string,
  atMs: number,
  parameters: readonly unknown[],
): Promise<{ id: string }[]> {
  return q.query(
    `UPDATE route_rules SET revoked_at = to_timestamp($1::float8 / 1000)
      WHERE ${which} AND revoked_at IS NULL RETURNING id`,
    [atMs, ...parameters],
  );
}

/** Live rules of the organization but for the one that this one replaces. */
async function countOthers(q: Queryable, fields: NewRouteRule): Promise<number> {
  const [row] = await q.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM route_rules
      WHERE revoked_at IS NULL AND (project_id, route_class) <> ($1::uuid, $2)`,
    [fields.projectId, fields.routeClass],
  );
  return row?.count ?? 0;
}
