import { randomUUID } from 'node:crypto';
import type { Database } from '../../platform/postgres/database.js';
import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { Project, ProjectChanges } from './project.js';

export type NewProject = ProjectChanges & { readonly name: string };

export type SavedProject =
  | { readonly kind: 'saved'; readonly project: Project }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'name_taken' };

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const LIST_MAX = 10_000;
const COLUMNS: Readonly<Record<keyof ProjectChanges, string>> = {
  name: 'name',
  disabled: 'disabled',
  strict: 'strict',
  defaultModel: 'default_model',
  bodyLimitBytes: 'body_limit_bytes',
  allowedProviders: 'allowed_providers',
  allowedModels: 'allowed_models',
  allowedPaths: 'allowed_paths',
};
const SELECTED = [
  'id',
  'org_id AS "orgId"',
  'created_at AS "createdAt"',
  ...Object.entries(COLUMNS).map(([field, column]) => `${column} AS "${field}"`),
].join(', ');

export class ProjectService {
  constructor(private readonly database: Database) {}

  /** `not_found`: there is no such organization. */
  async create(orgId: string, fields: NewProject): Promise<SavedProject> {
    return saved(this.database.tenant(orgId, (q) => createProjectWithin(q, orgId, fields)));
  }

  async update(orgId: string, projectId: string, changes: ProjectChanges): Promise<SavedProject> {
    const given = givenFields(changes);
    if (given.length === 0) {
      const project = await this.find(orgId, projectId);
      return project ? { kind: 'saved', project } : { kind: 'not_found' };
    }
    const sets = given.map((field, index) => `${COLUMNS[field]} = $${index + 2}`);
    return saved(
      this.database.tenant(orgId, async (q) => {
        const [row] = await q.query<Project>(
          `UPDATE projects SET ${sets.join(', ')} WHERE id = $1 RETURNING ${SELECTED}`,
          [projectId, ...given.map((field) => changes[field])],
        );
        return row ?? null;
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
        `SELECT ${SELECTED} FROM projects ORDER BY created_at, id LIMIT ${LIST_MAX}`,
      ),
    );
  }
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function createProjectWithin(
  q: Queryable,
  orgId: string,
  fields: NewProject,
): Promise<Project> {
  const given = givenFields(fields);
  const columns = ['org_id', 'id', ...given.map((field) => COLUMNS[field])];
  const places = columns.map((_, index) => `$${index + 1}`);
  const [row] = await q.query<Project>(
    `INSERT INTO projects (${columns.join(', ')}) VALUES (${places.join(', ')}) RETURNING ${SELECTED}`,
    [orgId, randomUUID(), ...given.map((field) => fields[field])],
  );
  if (!row) throw new Error('The project was not stored');
  return row;
}

function givenFields(changes: ProjectChanges): (keyof ProjectChanges)[] {
  const fields = Object.keys(COLUMNS) as (keyof ProjectChanges)[];
  return fields.filter((field) => changes[field] !== undefined);
}

async function saved(work: Promise<Project | null>): Promise<SavedProject> {
  try {
    const project = await work;
    return project ? { kind: 'saved', project } : { kind: 'not_found' };
  } catch (error) {
    if (sqlStateOf(error) === UNIQUE_VIOLATION) return { kind: 'name_taken' };
    if (sqlStateOf(error) === FOREIGN_KEY_VIOLATION) return { kind: 'not_found' };
    throw error;
  }
}
