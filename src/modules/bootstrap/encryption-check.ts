import { ConfigError } from '../../config/environment.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import { hashKeyAad } from '../organizations/hash-key.js';

/**
 * Throws a `ConfigError` where the encryption key does not open what the database holds: Shunt would start quietly
 * and then know no key at all.
 */
export async function checkEncryptionKey(database: Database, secretBox: SecretBox): Promise<void> {
  const [organization] = await database.directory((q) =>
    q.query<{ id: string }>('SELECT id FROM organizations ORDER BY created_at, id LIMIT 1'),
  );
  if (organization === undefined) return;
  const [row] = await database.tenant(organization.id, (q) =>
    q.query<{ sealed: Buffer | null }>('SELECT hash_key_sealed AS sealed FROM organizations'),
  );
  if (row?.sealed == null) return;
  try {
    secretBox.open(row.sealed, hashKeyAad(organization.id));
  } catch (error) {
    if (!(error instanceof SecretBoxError)) throw error;
    throw new ConfigError(
      'SHUNT_ENCRYPTION_KEY does not open what this database holds. Set the key that it was written with; ' +
        'after a change of keys, set that one as SHUNT_ENCRYPTION_KEY_PREVIOUS and run: npm run shunt -- rekey',
    );
  }
}
