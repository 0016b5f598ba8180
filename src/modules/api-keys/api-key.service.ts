import { randomUUID } from 'node:crypto';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { sqlStateOf } from '../../platform/postgres/query-error.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
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
  | { readonly kind: 'not_found' }
  | { readonly kind: 'too_many' };

type Issued = Extract<IssuedApiKey, { kind: 'issued' }>;

const DEFAULT_OVERLAP_MS = 24 * 60 * 60 * 1_000;
const FOREIGN_KEY_VIOLATION = '23503';
const LIST_MAX = 10_000;
/** Live ones of an organization; a rotation has room left where a new key has none. All of them fit into a list. */
export const KEYS_MAX = 5_000;
const COLUMNS = `id, project_id AS "projectId", name, preview, rotated_from AS "rotatedFrom",
  created_at AS "createdAt", expires_at AS "expiresAt", revoked_at AS "revokedAt"`;

const liveAt = (time: string): string =>
  `revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ${time})`;

export class ApiKeyService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** `not_found`: there is no such project. `too_many`: the organization has as many live keys as it may have. */
  async create(orgId: string, fields: NewApiKey, actor: Actor): Promise<IssuedApiKey> {
    const atMs = this.clock.nowMs();
    try {
      return await this.database.tenant(orgId, async (q) =>
        (await isFull(q, KEYS_MAX, atMs))
          ? { kind: 'too_many' }
          : createApiKeyWithin(q, orgId, fields, actor, atMs),
      );
    } catch (error) {
      if (sqlStateOf(error) === FOREIGN_KEY_VIOLATION) return { kind: 'not_found' };
      throw error;
    }
  }

  /** Newest first; of one project, where it is named. Every live one; of very many that have ended, the newest. */
  async list(orgId: string, projectId: string | null = null): Promise<ApiKey[]> {
    const now = new Date(this.clock.nowMs());
    return this.database.tenant(orgId, (q) =>
      q.query<ApiKey>(
        `SELECT ${COLUMNS} FROM (
           SELECT * FROM api_keys WHERE $1::uuid IS NULL OR project_id = $1
            ORDER BY (${liveAt('$2')}) DESC, created_at DESC, id LIMIT ${LIST_MAX}) AS k
          ORDER BY created_at DESC, id`,
        [projectId, now],
      ),
    );
  }

  /** A new key of the same project; the old one stays valid for `overlapMs`, so that applications can change over. */
  async rotate(
    orgId: string,
    keyId: string,
    overlapMs: number | undefined,
    actor: Actor,
  ): Promise<IssuedApiKey> {
    const atMs = this.clock.nowMs();
    const ends = new Date(atMs + (overlapMs ?? DEFAULT_OVERLAP_MS));
    return this.database.tenant(orgId, async (q) => {
      if (await isFull(q, LIST_MAX, atMs)) return { kind: 'too_many' };
      // A key that ends sooner anyway is not given a longer life.
      const [old] = await q.query<ApiKey>(
        `UPDATE api_keys SET expires_at = least(coalesce(expires_at, $2), $2)
          WHERE id = $1 AND revoked_at IS NULL RETURNING ${COLUMNS}`,
        [keyId, ends],
      );
      if (!old) return { kind: 'not_found' };
      const successor = { projectId: old.projectId, name: old.name };
      const issued = await storeApiKey(q, orgId, successor, old.id);
      await auditWithin(q, orgId, {
        actor,
        action: 'api_key.rotated',
        atMs,
        subject: old.id,
        newValue: issued.key.id,
        details: { project_id: old.projectId, ends_at: old.expiresAt },
      });
      return issued;
    });
  }

  /** False where there is no such key, or it was revoked before. Replicas refuse it within a second. */
  async revoke(orgId: string, keyId: string, actor: Actor): Promise<boolean> {
    const atMs = this.clock.nowMs();
    return this.database.tenant(orgId, async (q) => {
      const [key] = await q.query<{ projectId: string }>(
        `UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL
          RETURNING project_id AS "projectId"`,
        [keyId, new Date(atMs)],
      );
      if (!key) return false;
      await auditWithin(q, orgId, {
        actor,
        action: 'api_key.revoked',
        atMs,
        subject: keyId,
        details: { project_id: key.projectId },
      });
      return true;
    });
  }
}

async function isFull(q: Queryable, atMost: number, atMs: number): Promise<boolean> {
  const live = await q.query(
    `SELECT FROM api_keys WHERE ${liveAt('$1')} OFFSET ${atMost - 1} LIMIT 1`,
    [new Date(atMs)],
  );
  return live.length > 0;
}

/** As a part of a larger transaction that is scoped to the organization. */
export async function createApiKeyWithin(
  q: Queryable,
  orgId: string,
  fields: NewApiKey,
  actor: Actor,
  atMs: number,
): Promise<Issued> {
  const issued = await storeApiKey(q, orgId, fields, null);
  await auditWithin(q, orgId, {
    actor,
    action: 'api_key.created',
    atMs,
    subject: issued.key.id,
    details: { project_id: fields.projectId, ends_at: issued.key.expiresAt },
  });
  return issued;
}

async function storeApiKey(
  q: Queryable,
  orgId: string,
  fields: NewApiKey,
  rotatedFrom: string | null,
): Promise<Issued> {
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
