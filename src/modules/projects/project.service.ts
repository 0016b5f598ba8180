import { randomUUID } from 'node:crypto';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import { changedFields, changesToAudit } from '../audit/changed-fields.js';
import type { Project, ProjectChanges } from './project.js';

export type NewProject = ProjectChanges & { readonly name: string };

export type SavedProject =
  | { readonly kind: 'saved'; readonly project: Project }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'name_taken' }
  | { readonly kind: 'too_many' };

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
/** Of an organization. */
export const PROJECTS_MAX = 1_000;
const COLUMNS: Readonly<Record<keyof ProjectChanges, string>> = {
  name: 'name',
  disabled: 'disabled',
  strict: 'strict',
  defaultModel: 'default_model',
  bodyLimitBytes: 'body_limit_bytes',
  allowedProviders: 'allowed_providers',
  allowedModels: 'allowed_models',
  allowedPaths: 'allowed_paths',
  crossProviderOptIn: 'cross_provider_opt_in',
  fallbackModels: 'fallback_models',
  routingOptOut: 'routing_opt_out',
};
const FIELDS = Object.keys(COLUMNS) as (keyof ProjectChanges)[];
const SELECTED = [
  'id',
  'org_id AS "orgId"',
  'created_at AS "createdAt"',
  ...Object.entries(COLUMNS).map(([field, column]) => `${column} AS "${field}"`),
].join(', ');

export class ProjectService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** `not_found`: there is no such organization. */
  async create(orgId: string, fields: NewProject, actor: Actor): Promise<SavedProject> {
    const atMs = this.clock.nowMs();
    return saved(
      this.database.tenant(orgId, async (q) =>
        (await isFull(q)) ? 'too_many' : createProjectWithin(q, orgId, fields, actor, atMs),
      ),
    );
  }

  /** What is given as it was before is no change, and leaves no entry in the trail. */
  async update(
    orgId: string,
    projectId: string,
    changes: ProjectChanges,
    actor: Actor,
  ): Promise<SavedProject> {
    return saved(
      this.database.tenant(orgId, async (q) => {
        const [before] = await q.query<Project>(
          `SELECT ${SELECTED} FROM projects WHERE id = $1 FOR NO KEY UPDATE`,
          [projectId],
        );
        if (!before) return null;
        const changed = changedFields(FIELDS, before, changes);
        if (changed.length === 0) return before;
        const sets = changed.map((field, index) => `${COLUMNS[field]} = $${index + 2}`);
        const [after] = await q.query<Project>(
          `UPDATE projects SET ${sets.join(', ')} WHERE id = $1 RETURNING ${SELECTED}`,
          [projectId, ...changed.map((field) => valueOf(field, changes))],
        );
        await auditWithin(q, orgId, {
          actor,
          action: 'project.changed',
          atMs: this.clock.nowMs(),
          subject: projectId,
          details: changesToAudit(changed, COLUMNS, before, changes),
        });
        return after ?? null;
      }),
    );
  }

  async find(orgId: string, projectId: string): Promise<Project | null> {
    const rows = await this.database.tenant(orgId, (q) =>
      q.query<Project>(`SELECT ${SELECTED} FROM projects WHERE id = $1`, [projectId]),
    );
    return rows[0] ?? null;
  }

  /** Oldest first. */
  async list(orgId: string): Promise<Project[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<Project>(
        `SELECT ${SELECTED} FROM projects ORDER BY created_at, id LIMIT ${PROJECTS_MAX}`,
      ),
    );
  }
}

/** The organization's row is locked: of two that come at once for the last place, one gets it. */
async function isFull(q: Queryable): Promise<boolean> {
  await q.query('SELECT FROM organizations FOR NO KEY UPDATE');
  return (await q.query(`SELECT FROM projects OFFSET ${PROJECTS_MAX - 1} LIMIT 1`)).length > 0;
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function createProjectWithin(
  q: Queryable,
  orgId: string,
  fields: NewProject,
  actor: Actor,
  atMs: number,
): Promise<Project> {
  const given = FIELDS.filter((field) => fields[field] !== undefined);
  const columns = ['org_id', 'id', ...given.map((field) => COLUMNS[field])];
  const places = columns.map((_, index) => `$${index + 1}`);
  const [row] = await q.query<Project>(
    `INSERT INTO projects (${columns.join(', ')}) VALUES (${places.join(', ')}) RETURNING ${SELECTED}`,
    [orgId, randomUUID(), ...given.map((field) => valueOf(field, fields))],
  );
  if (!row) throw new Error('The project was not stored');
  await auditWithin(q, orgId, {
    actor,
    action: 'project.created',
    atMs,
    subject: row.id,
    details: { fields: given.map((field) => COLUMNS[field]) },
  });
  return row;
}

/** As a parameter: the driver would take a list for a Postgres array, which a jsonb column is not. */
function valueOf(field: keyof ProjectChanges, changes: ProjectChanges): unknown {
  const value = changes[field];
  return field === 'fallbackModels' ? JSON.stringify(value) : value;
}

async function saved(work: Promise<Project | 'too_many' | null>): Promise<SavedProject> {
  try {
    const project = await work;
    if (project === 'too_many') return { kind: 'too_many' };
    return project ? { kind: 'saved', project } : { kind: 'not_found' };
  } catch (error) {
    if (sqlStateOf(error) === UNIQUE_VIOLATION) return { kind: 'name_taken' };
    if (sqlStateOf(error) === FOREIGN_KEY_VIOLATION) return { kind: 'not_found' };
    throw error;
  }
}
