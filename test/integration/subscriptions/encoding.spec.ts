import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomUUID } from 'node:crypto';
import {
  CHAIN_START,
  encodeAuditEntry,
  hashAuditEntry,
} from '../../../src/modules/audit/audit-encoding.js';
import type { AuditEntry } from '../../../src/modules/audit/audit-entry.js';
import { AUDIT_COLUMNS } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.close());

/** Every code point that Postgres stores: all but NUL and halves of pairs. */
const letters = (maxLength: number) =>
  fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: Math.ceil(maxLength / 10) }),
    fc.constantFrom('-,', '1:a,', ',', ':', '\u0001', '\u007f', '\ufeff', '\u2028', '𝕊𝖍', 'é', 'é'),
  );
const storable = (text: string): boolean => !text.includes('\u0000');
const text = (maxLength: number) => letters(maxLength).filter(storable);
const maybe = (maxLength: number) => fc.option(text(maxLength), { nil: null });

/** As somebody may write it: what is stored is another text of the same value. */
const numberText = fc.constantFrom(
  '0', '-0', '1.10', '1e2', '1E-7', '-12.5e+3', '123456789012345678901234567890.0010', '0.1', '1.0',
); // prettier-ignore
const value = fc.oneof(
  numberText,
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e20, max: 1e20 }).map(String),
  text(20).map((given) => JSON.stringify(given)),
  fc.constantFrom(
    'null',
    'true',
    'false',
    '[]',
    '{}',
    '[1, 2.50, "x"]',
    '{"b": 1, "a": {"c": []}}',
  ),
);
const details = fc
  .array(fc.tuple(text(10), value), { maxLength: 5 })
  .map((pairs) => `{${pairs.map(([key, given]) => `${JSON.stringify(key)}:${given}`).join(',')}}`);

const entries = fc.array(
  fc.record({
    at: fc.date({
      min: new Date(0),
      max: new Date('9998-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    }),
    kind: fc.constantFrom('member', 'operator', 'command', 'job', 'billing', 'system'),
    actor: text(100),
    action: fc.constantFrom('api_key.created', 'member.joined', 'report.created', 'a.b'),
    subject: maybe(100),
    oldValue: maybe(200),
    newValue: maybe(200),
    reason: maybe(300),
    details,
  }),
  { minLength: 1, maxLength: 15 },
);

test('whatever an entry holds, the database and the verifier compute the same hash', async () => {
  const verifier = new AuditVerifier(db.database);
  await fc.assert(
    fc.asyncProperty(entries, async (given) => {
      const orgId = randomUUID();
      const stored = await db.database.tenant(orgId, async (q) => {
        for (const entry of given) {
          await q.query(
            `INSERT INTO audit_log (org_id, at, actor_kind, actor, action, subject, old_value, new_value, reason, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
            [orgId, ...Object.values(entry)],
          );
        }
        return q.query<AuditEntry>(`SELECT ${AUDIT_COLUMNS} FROM audit_log ORDER BY audit_log.seq`);
      });
      expect(stored).toHaveLength(given.length);
      stored.forEach((entry, index) => {
        expect(hashAuditEntry(entry)).toBe(entry.hash);
        expect(entry.prevHash).toBe(stored[index - 1]?.hash ?? CHAIN_START);
        expect(entry.at).toBe(given[index]?.at.toISOString());
        expect(entry.actor).toBe(given[index]?.actor);
      });
      expect(await verifier.verify(orgId)).toMatchObject({
        verified: given.length,
        broken: null,
      });
    }),
    { numRuns: 60 },
  );
});

test("a session's own settings of time, dates and numbers change nothing about a hash", async () => {
  const orgId = randomUUID();
  await db.database.tenant(orgId, async (q) => {
    await q.query(`SET LOCAL timezone = 'Asia/Kolkata'`);
    await q.query(`SET LOCAL datestyle = 'SQL, DMY'`);
    await q.query(`SET LOCAL extra_float_digits = -15`);
    await q.query(`SET LOCAL bytea_output = 'escape'`);
    await q.query(`SET LOCAL lc_time = 'C'`);
    await q.query(
      `INSERT INTO audit_log (org_id, at, actor_kind, actor, action, details)
       VALUES ($1, '2026-03-29T02:30:00.1239Z', 'job', 'x', 'a.b', '{"n": 0.1}')`,
      [orgId],
    );
  });
  const [entry] = await db.database.tenant(orgId, (q) =>
    q.query<AuditEntry>(`SELECT ${AUDIT_COLUMNS} FROM audit_log`),
  );
  expect(entry?.at).toBe('2026-03-29T02:30:00.123Z');
  expect(entry && hashAuditEntry(entry)).toBe(entry?.hash);
});

test('the encoding of a known entry is the documented one', () => {
  const entry = {
    orgId: '11111111-2222-4333-8444-555555555555',
    seq: 7,
    at: '2026-11-20T10:11:12.013Z',
    actorKind: 'operator',
    actor: 'Zoë',
    action: 'subscription.suspend',
    subject: null,
    oldValue: 'active',
    newValue: 'suspended',
    reason: '',
    details: '{"hold": false}',
    prevHash: CHAIN_START,
  } as const;
  const encoded =
    `13:shunt-audit-1,64:${CHAIN_START},36:11111111-2222-4333-8444-555555555555,1:7,` +
    '24:2026-11-20T10:11:12.013Z,8:operator,4:Zoë,20:subscription.suspend,-,6:active,9:suspended,0:,15:{"hold": false},';
  expect(encodeAuditEntry(entry)).toBe(encoded);
  // printf '%s' "$encoded" | sha256sum
  expect(hashAuditEntry(entry)).toBe(KNOWN_HASH);
});

const KNOWN_HASH = 'ec61aeac7e07ef1d94dc9f7a3d8a075c0c8a91091726ed4b62cac35cc155baca';
