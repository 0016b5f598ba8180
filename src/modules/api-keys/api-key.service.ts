import { randomUUID } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import {
  TOKEN_LENGTH_MAX,
  TOKEN_LENGTH_MIN,
  generateToken,
  hashToken,
  isUsableToken,
  previewToken,
} from './api-key-token.js';

/** A project key as it is kept: what it opens, never itself. */
export interface ApiKey {
  readonly id: string;
  readonly projectId: string;
  readonly name: string;
  readonly preview: string;
  readonly rotatedFrom: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

export interface NewApiKey {
  readonly projectId: string;
  readonly name: string;
  readonly expiresAt?: Date;
  /** Given by the installation instead of generated. */
  readonly token?: string;
}

export type IssuedApiKey =
  /** `token` is shown now and never again. */
  | { readonly kind: 'issued'; readonly token: string; readonly key: ApiKey }
  | { readonly kind: 'not_found' };

const DEFAULT_OVERLAP_MS = 24 * 60 * 60 * 1_000;
const FOREIGN_KEY_VIOLATION = '23503';
const LIST_MAX = 10_000;
const COLUMNS = `id, project_id AS "projectId", name, preview, rotated_from AS "rotatedFrom",
  created_at AS "createdAt", expires_at AS "expiresAt", revoked_at AS "revokedAt"`;

export class ApiKeyService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** `not_found`: there is no such project. */
  async create(orgId: string, fields: NewApiKey): Promise<IssuedApiKey> {
    try {
      return await this.database.tenant(orgId, (q) => createApiKeyWithin(q, orgId, fields));
    } catch (error) {
      if (sqlStateOf(error) === FOREIGN_KEY_VIOLATION) return { kind: 'not_found' };
      throw error;
    }
  }

  /** Newest first. */
  async list(orgId: string): Promise<ApiKey[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<ApiKey>(
        `SELECT ${COLUMNS} FROM api_keys ORDER BY created_at DESC, id LIMIT ${LIST_MAX}`,
      ),
    );
  }

  /** A new key of the same project; the old one stays valid for `overlapMs`, so that applications can change over. */
  async rotate(
    orgId: string,
    keyId: string,
    overlapMs: number = DEFAULT_OVERLAP_MS,
  ): Promise<IssuedApiKey> {
    const ends = new Date(this.clock.nowMs() + overlapMs);
    return this.database.tenant(orgId, async (q) => {
      // A key that ends sooner anyway is not given a longer life.
      const [old] = await q.query<ApiKey>(
        `UPDATE api_keys SET expires_at = least(coalesce(expires_at, $2), $2)
          WHERE id = $1 AND revoked_at IS NULL RETURNING ${COLUMNS}`,
        [keyId, ends],
      );
      if (!old) return { kind: 'not_found' };
      return createApiKeyWithin(q, orgId, { projectId: old.projectId, name: old.name }, old.id);
    });
  }

  /** False where there is no such key, or it was revoked before. Replicas refuse it within a second. */
  async revoke(orgId: string, keyId: string): Promise<boolean> {
    const rows = await this.database.tenant(orgId, (q) =>
      q.query(
        `UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id`,
        [keyId, new Date(this.clock.nowMs())],
      ),
    );
    return rows.length > 0;
  }
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function createApiKeyWithin(
  q: Queryable,
  orgId: string,
  fields: NewApiKey,
  rotatedFrom: string | null = null,
): Promise<Extract<IssuedApiKey, { kind: 'issued' }>> {
  const token = fields.token ?? generateToken();
  if (!isUsableToken(token)) {
    throw new Error(`A project key has ${TOKEN_LENGTH_MIN} to ${TOKEN_LENGTH_MAX} characters`);
  }
  const [key] = await q.query<ApiKey>(
    `INSERT INTO api_keys (org_id, id, project_id, key_hash, preview, name, rotated_from, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${COLUMNS}`,
    [
      orgId,
      randomUUID(),
      fields.projectId,
      hashToken(token),
      previewToken(token),
      fields.name,
      rotatedFrom,
      fields.expiresAt ?? null,
    ],
  );
  if (!key) throw new Error('The key was not stored');
  return { kind: 'issued', token, key };
}
