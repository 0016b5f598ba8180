import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { userTotpAad } from '../../../src/modules/accounts/second-factor.js';
import { invitationAad } from '../../../src/modules/accounts/invitation.service.js';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import { RekeyService } from '../../../src/modules/bootstrap/rekey.service.js';
import { mailSealedWithin, outboxAad } from '../../../src/modules/mail/outbox.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db?.close());

test('rekey leaves no second factor, no waiting mail and no open invitation behind', async () => {
  const oldKey = randomBytes(32);
  const current = randomBytes(32);
  const old = new SecretBox({ current: oldKey, previous: null });
  const userId = randomUUID();
  await db.database.query(
    'INSERT INTO users (id, email, password_hash, totp_secret_sealed) VALUES ($1, $2, $3, $4)',
    [userId, 'somebody@example.test', 'x', old.seal('second factor', userTotpAad(userId))],
  );
  const { orgId } = await db.createTenant();
  for (const id of [orgId, INSTALLATION_ID]) {
    const secret = { token: 'opens something', address: 'somebody@example.test' };
    const mail = { kind: 'invitation', dedupeKey: 'once', atMs: Date.now(), secret } as const;
    await db.database.tenant(id, (q) => mailSealedWithin(q, old, id, mail));
  }
  const invitationId = randomUUID();
  await db.database.tenant(orgId, (q) =>
    q.query(
      `INSERT INTO invitations (org_id, id, token_hash, role, address_sealed, invited_by, created_at, expires_at)
       VALUES ($1, $2, $3, 'member', $4, $5, now(), now() + interval '7 days')`,
      [
        orgId,
        invitationId,
        randomBytes(32),
        old.seal('somebody@example.test', invitationAad(orgId, invitationId)),
        userId,
      ],
    ),
  );
  // What the tenant was made with, under a key of its own, is not the subject.
  const both = new SecretBox({ current, previous: oldKey });
  const report = await new RekeyService(db.database, both, systemClock).run(ACTOR);
  expect(report.resealed).toMatchObject({ users: 1, mail: 2, invitations: 1 });

  const alone = new SecretBox({ current, previous: null });
  const [user] = await db.database.query<{ sealed: Buffer }>(
    'SELECT totp_secret_sealed AS sealed FROM users WHERE id = $1',
    [userId],
  );
  expect(alone.open(user!.sealed, userTotpAad(userId)).toString()).toBe('second factor');
  for (const id of [orgId, INSTALLATION_ID]) {
    const [mail] = await db.database.tenant(id, (q) =>
      q.query<{ id: string; sealed: Buffer }>('SELECT id, sealed FROM outbox'),
    );
    expect(alone.open(mail!.sealed, outboxAad(mail!.id)).toString()).toContain('opens something');
  }
  const [invitation] = await db.database.tenant(orgId, (q) =>
    q.query<{ sealed: Buffer }>('SELECT address_sealed AS sealed FROM invitations'),
  );
  const address = alone.open(invitation!.sealed, invitationAad(orgId, invitationId)).toString();
  expect(address).toBe('somebody@example.test');
});
