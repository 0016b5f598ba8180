import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { Database } from '../../platform/postgres/database.js';

const KEY_BYTES = 32;
const UUID_BYTES = 16;
const TOKEN = /^([\w-]{43})\.([\w-]{43})$/;

/**
 * Who is reminded. The link in a reminder holds its own right: a tag over the user, the organization and this one
 * purpose, without an end, because a link to unsubscribe must work in a mail of any age.
 */
export class ReminderSubscription {
  readonly #key: Buffer;

  constructor(
    private readonly database: Pick<Database, 'tenant'>,
    sessionSecret: string,
  ) {
    this.#key = Buffer.from(
      hkdfSync('sha256', sessionSecret, '', 'shunt unsubscribe link', KEY_BYTES),
    );
  }

  tokenFor(orgId: string, userId: string): string {
    const ids = Buffer.concat([bytesOf(orgId), bytesOf(userId)]);
    return `${ids.toString('base64url')}.${this.#tag(ids).toString('base64url')}`;
  }

  /** False for a token that this installation did not make. */
  isGenuine(token: string): boolean {
    return this.#read(token) !== null;
  }

  /** False for a token that is not genuine; otherwise there are no more reminders, as often as it is called. */
  async unsubscribe(token: string): Promise<boolean> {
    const ids = this.#read(token);
    if (ids === null) return false;
    await this.database.tenant(ids.orgId, (q) =>
      q.query(
        'UPDATE memberships SET reminders = false WHERE org_id = $1 AND user_id = $2 AND reminders',
        [ids.orgId, ids.userId],
      ),
    );
    return true;
  }

  #read(token: string): { orgId: string; userId: string } | null {
    const match = TOKEN.exec(token);
    if (!match) return null;
    const [ids, tag] = [match[1] ?? '', match[2] ?? ''].map((part) =>
      Buffer.from(part, 'base64url'),
    );
    if (!ids || !tag || ids.length !== 2 * UUID_BYTES || tag.length !== KEY_BYTES) return null;
    if (!timingSafeEqual(tag, this.#tag(ids))) return null;
    return {
      orgId: uuidOf(ids.subarray(0, UUID_BYTES)),
      userId: uuidOf(ids.subarray(UUID_BYTES)),
    };
  }

  #tag(ids: Buffer): Buffer {
    return createHmac('sha256', this.#key).update('reminders').update(ids).digest();
  }
}

function bytesOf(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
