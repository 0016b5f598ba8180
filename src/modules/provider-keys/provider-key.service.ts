import { randomUUID } from 'node:crypto';
import type { Provider } from '../../domain/routing/provider.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import type { Principal } from '../api-keys/principal.js';

/** A provider key as people see it. */
export interface ProviderKey {
  readonly id: string;
  readonly provider: Provider;
  readonly preview: string;
  readonly createdAt: Date;
}

const COLUMNS = 'id, provider, preview, created_at AS "createdAt"';
/** From this length on, four characters tell nothing useful about a key. */
const PREVIEW_LENGTH_MIN = 20;
const KEY_LENGTH_MAX = 4_096;

/** An organization's own keys at the providers: one live per provider, sealed, opened for one request at a time. */
export class ProviderKeyService {
  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
  ) {}

  /** Replaces the provider's key. */
  async set(orgId: string, provider: Provider, secret: string, actor: Actor): Promise<ProviderKey> {
    return this.database.tenant(orgId, (q) => this.setWithin(q, orgId, provider, secret, actor));
  }

  /** As a part of a larger transaction that is scoped to the organization. */
  async setWithin(
    q: Queryable,
    orgId: string,
    provider: Provider,
    secret: string,
    actor: Actor,
  ): Promise<ProviderKey> {
    if (!isUsableKey(secret))
      throw new Error('Not a provider key: empty, too long, or not plain text');
    // Of two who set it at once the second waits, and replaces what the first one set.
    await q.query('SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE', [orgId]);
    const replaced = await removeWithin(q, provider);
    const [row] = await q.query<ProviderKey>(
      `INSERT INTO provider_keys (org_id, id, provider, sealed, key_id, preview)
       VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${COLUMNS}`,
      [
        orgId,
        randomUUID(),
        provider,
        this.secretBox.seal(secret, providerKeyAad(orgId, provider)),
        this.secretBox.currentKeyId,
        previewKey(secret),
      ],
    );
    if (!row) throw new Error('The provider key was not stored');
    await auditWithin(q, orgId, {
      actor,
      action: 'provider_key.set',
      atMs: this.clock.nowMs(),
      subject: row.id,
      oldValue: replaced,
      newValue: row.id,
      details: { provider },
    });
    return row;
  }

  async list(orgId: string): Promise<ProviderKey[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<ProviderKey>(
        `SELECT ${COLUMNS} FROM provider_keys WHERE revoked_at IS NULL ORDER BY provider`,
      ),
    );
  }

  /** False where the organization had none. The secret is gone for good, the row stays for the records that name it. */
  async remove(orgId: string, provider: Provider, actor: Actor): Promise<boolean> {
    return this.database.tenant(orgId, async (q) => {
      const removed = await removeWithin(q, provider);
      if (removed === null) return false;
      await auditWithin(q, orgId, {
        actor,
        action: 'provider_key.removed',
        atMs: this.clock.nowMs(),
        subject: removed,
        details: { provider },
      });
      return true;
    });
  }

  /** The key in clear, for the one request at hand; null where the organization has none for the provider. */
  open(principal: Pick<Principal, 'orgId' | 'providerKeys'>, provider: Provider): string | null {
    const key = principal.providerKeys[provider];
    if (!key) return null;
    return this.secretBox.open(key.sealed, providerKeyAad(principal.orgId, provider)).toString();
  }
}

/** What a sealed provider key is bound to: in another row it does not open. */
export function providerKeyAad(orgId: string, provider: string): string {
  return `${orgId}:${provider}`;
}

/** `sk-...abcd`; a short key is masked whole. */
export function previewKey(secret: string): string {
  if (secret.length < PREVIEW_LENGTH_MIN) return '...';
  const prefix = /^[A-Za-z]{2,4}[-_]/.exec(secret)?.[0] ?? '';
  return `${prefix}...${secret.slice(-4)}`;
}

/** It travels in a header: printable ASCII, without spaces. */
export function isUsableKey(secret: string): boolean {
  return secret.length <= KEY_LENGTH_MAX && /^[\x21-\x7e]+$/.test(secret);
}

/** The id of the key that is no more; null where there was none. */
async function removeWithin(q: Queryable, provider: Provider): Promise<string | null> {
  const [row] = await q.query<{ id: string }>(
    `UPDATE provider_keys SET revoked_at = now(), sealed = NULL
      WHERE provider = $1 AND revoked_at IS NULL RETURNING id`,
    [provider],
  );
  return row?.id ?? null;
}
