import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkEncryptionKey } from '../../../src/modules/bootstrap/encryption-check.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let postgres: TestDatabase;

beforeAll(async () => {
  postgres = await testDatabase();
});

afterAll(() => postgres.close());

const other = () => new SecretBox({ current: randomBytes(32), previous: null });

describe('the encryption key at start', () => {
  it('may be any where nothing is stored yet', async () => {
    await checkEncryptionKey(postgres.database, other());
  });

  it('stops the start with what to do where it does not open what is stored', async () => {
    await postgres.createTenant();
    await checkEncryptionKey(postgres.database, postgres.secretBox);
    await expect(checkEncryptionKey(postgres.database, other())).rejects.toThrow(
      /SHUNT_ENCRYPTION_KEY does not open/,
    );
  });
});
