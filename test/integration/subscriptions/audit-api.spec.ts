import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Member } from '../../../src/dashboard/access.js';
import { AuditController } from '../../../src/dashboard/audit.controller.js';
import { hashAuditEntry } from '../../../src/modules/audit/audit-encoding.js';
import { AuditHeads } from '../../../src/modules/audit/audit-heads.js';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import { isGenuineHead } from '../../support/genuine-head.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let db: TestDatabase;
let controller: AuditController;
let member: Member;
let total: number;
beforeAll(async () => {
  db = await testDatabase();
  const { orgId } = await db.createTenant({ status: 'active' });
  member = { orgId } as Member;
  await db.createTenant();
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  controller = new AuditController(
    new AuditTrail(db.database),
    new AuditHeads(db.database, new Signer(pem.toString()), systemClock),
  );
  total = (await controller.head(member)).seq;
});
afterAll(() => db.close());

test('the whole trail can be read, newest first, page by page', async () => {
  const seqs: number[] = [];
  let before: string | undefined;
  do {
    const page = await controller.list(member, '2', before);
    expect(page.data.length).toBeLessThanOrEqual(2);
    seqs.push(...page.data.map(({ seq }) => seq));
    before = page.next_before?.toString();
  } while (before !== undefined);
  expect(total).toBeGreaterThan(3);
  expect(seqs).toEqual(Array.from({ length: total }, (_, i) => total - i));
});

test('a reader can recompute every hash from the answers alone, up to the signed head', async () => {
  const { data } = await controller.list(member);
  const head = await controller.head(member);
  expect(data[0]?.hash).toBe(head.hash);
  for (const [index, entry] of data.entries()) {
    const hash = hashAuditEntry({
      orgId: head.org_id,
      seq: entry.seq,
      at: entry.at,
      actorKind: entry.actor_kind,
      actor: entry.actor,
      action: entry.action,
      subject: entry.subject,
      oldValue: entry.old_value,
      newValue: entry.new_value,
      reason: entry.reason,
      details: entry.details,
      prevHash: entry.prev_hash,
    });
    expect(hash).toBe(entry.hash);
    expect(entry.prev_hash).toBe(data[index + 1]?.hash ?? '0'.repeat(64));
  }
  const { org_id: orgId, seq, hash, at, signature } = head;
  expect(isGenuineHead(head.public_key, { orgId, seq, hash, at, signature })).toBe(true);
});

test.each([
  ['limit', '0'],
  ['limit', '501'],
  ['limit', '-1'],
  ['limit', '1.5'],
  ['limit', '1e2'],
  ['limit', ''],
  ['before', '0'],
  ['before', 'x'],
  ['before', '99999999999999999999'],
])('%s=%s is refused, by name', async (name, value) => {
  const asked =
    name === 'limit' ? controller.list(member, value) : controller.list(member, undefined, value);
  await expect(asked).rejects.toMatchObject({ code: 'invalid_request', status: 400 });
  await expect(asked).rejects.toThrow();
});
