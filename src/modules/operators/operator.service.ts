import { randomBytes, randomUUID } from 'node:crypto';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { hashPassword } from '../../platform/crypto/password.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import { newTotpSecret, totpUri } from '../../platform/crypto/totp.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { AuditAction } from '../audit/audit-entry.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import { operatorTotpAad } from '../bootstrap/operator-totp.js';
import { isOperatorName, type Operator, type OperatorCredentials } from './operator.js';
import { endSessionsWithin } from './operator-sessions.js';

export type CreatedOperator =
  | {
      readonly kind: 'created';
      readonly credentials: OperatorCredentials;
      readonly auditSeq: number;
    }
  | { readonly kind: 'name_taken' }
  | { readonly kind: 'unusable_name' }
  | { readonly kind: 'too_many' };

export type RotatedOperator =
  | {
      readonly kind: 'rotated';
      readonly credentials: OperatorCredentials;
      readonly auditSeq: number;
    }
  | { readonly kind: 'unknown' };

export type DisabledOperator =
  | { readonly kind: 'disabled'; readonly auditSeq: number }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'last_one' }
  | { readonly kind: 'unknown' };

export const OPERATORS_MAX = 100;
/** Disabled ones included. */
export const OPERATORS_READ_MAX = 1_000;
const SECRET_BYTES = 24;
const COLUMNS = `id, name, created_at AS "createdAt", disabled_at AS "disabledAt"`;

interface NewCredentials {
  readonly shown: OperatorCredentials;
  readonly secretHash: string;
  readonly totpSealed: Buffer;
}

/** Who may run the installation. Every change stands in the installation's own trail, under the name of who made it. */
export class OperatorService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  /** By name, disabled ones too. */
  async list(): Promise<Operator[]> {
    return this.database.query<Operator>(
      `SELECT ${COLUMNS} FROM operators ORDER BY name LIMIT ${OPERATORS_READ_MAX}`,
    );
  }

  async create(name: string, actor: Actor): Promise<CreatedOperator> {
    if (!isOperatorName(name)) return { kind: 'unusable_name' };
    const id = randomUUID();
    const made = await this.#newCredentials(id, name);
    return this.database.transaction(async (q): Promise<CreatedOperator> => {
      const enabled = await lockEnabled(q);
      if (enabled.length >= OPERATORS_MAX) return { kind: 'too_many' };
      const inserted = await q.query(
        `INSERT INTO operators (id, name, secret_hash, totp_secret_sealed) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO NOTHING RETURNING id`,
        [id, name, made.secretHash, made.totpSealed],
      );
      if (inserted.length === 0) return { kind: 'name_taken' };
      const auditSeq = await this.#audit(q, 'operator.created', actor, { id, name });
      return { kind: 'created', credentials: made.shown, auditSeq };
    });
  }

  /** Of an operator who is enabled; every session under the old credentials ends. */
  async rotate(name: string, actor: Actor): Promise<RotatedOperator> {
    if (!isOperatorName(name)) return { kind: 'unknown' };
    const [found] = await this.#find(this.database, name);
    if (!found || found.disabledAt !== null) return { kind: 'unknown' };
    const made = await this.#newCredentials(found.id, name);
    return this.database.transaction(async (q): Promise<RotatedOperator> => {
      const changed = await q.query(
        `UPDATE operators SET secret_hash = $2, totp_secret_sealed = $3, totp_last_step = 0
          WHERE id = $1 AND disabled_at IS NULL RETURNING id`,
        [found.id, made.secretHash, made.totpSealed],
      );
      if (changed.length === 0) return { kind: 'unknown' };
      const sessions = await endSessionsWithin(q, found.id, this.clock.nowMs());
      const auditSeq = await this.#audit(q, 'operator.credentials_rotated', actor, {
        id: found.id,
        name,
        sessions,
      });
      return { kind: 'rotated', credentials: made.shown, auditSeq };
    });
  }

  /** For good: the name stays taken, as the trail knows it. The last one who could undo things stays. */
  async disable(name: string, actor: Actor): Promise<DisabledOperator> {
    if (!isOperatorName(name)) return { kind: 'unknown' };
    const atMs = this.clock.nowMs();
    return this.database.transaction(async (q): Promise<DisabledOperator> => {
      const enabled = await lockEnabled(q);
      const [found] = await this.#find(q, name);
      if (!found) return { kind: 'unknown' };
      if (found.disabledAt !== null) return { kind: 'unchanged' };
      if (enabled.length <= 1) return { kind: 'last_one' };
      await q.query('UPDATE operators SET disabled_at = $2 WHERE id = $1', [
        found.id,
        new Date(atMs),
      ]);
      const sessions = await endSessionsWithin(q, found.id, atMs);
      const auditSeq = await this.#audit(q, 'operator.disabled', actor, {
        id: found.id,
        name,
        sessions,
      });
      return { kind: 'disabled', auditSeq };
    });
  }

  #find(q: Queryable, name: string): Promise<Operator[]> {
    return q.query<Operator>(`SELECT ${COLUMNS} FROM operators WHERE name = $1`, [name]);
  }

  async #newCredentials(id: string, name: string): Promise<NewCredentials> {
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const totpSecret = newTotpSecret();
    return {
      shown: { name, secret, totpSecret, totpUri: totpUri(name, totpSecret) },
      secretHash: await hashPassword(secret),
      totpSealed: this.secretBox.seal(totpSecret, operatorTotpAad(id)),
    };
  }

  #audit(
    q: Queryable,
    action: AuditAction,
    actor: Actor,
    {
      id,
      ...details
    }: {
      readonly id: string;
      readonly name: string;
      readonly sessions?: number;
      readonly because?: string;
    },
  ): Promise<number> {
    return auditInstallationWithin(q, {
      actor,
      action,
      atMs: this.clock.nowMs(),
      subject: id,
      details,
    });
  }
}

/** In one order, so that two who disable each other wait for one another and do not both succeed. */
function lockEnabled(q: Queryable): Promise<{ id: string }[]> {
  return q.query<{ id: string }>(
    'SELECT id FROM operators WHERE disabled_at IS NULL ORDER BY id FOR UPDATE',
  );
}
