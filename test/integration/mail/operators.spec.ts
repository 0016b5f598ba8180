import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { AuditTrail } from '../../../src/modules/audit/audit-trail.js';
import { mailSealedWithin, type SealedMailPart } from '../../../src/modules/mail/outbox.js';
import { OutboxService } from '../../../src/modules/mail/outbox.service.js';
import { resealWithin } from '../../../src/modules/mail/outbox-rekey.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { MailRig, PUBLIC_URL } from './mail-rig.js';

let rig: MailRig;
beforeAll(async () => {
  rig = await MailRig.start();
});
afterAll(() => rig.stop());
beforeEach(() => rig.clear());

const OPERATOR = { kind: 'operator', name: 'olga' } as const;
const DAY_MS = 24 * 3_600_000;

function outbox(mailIsOn: boolean): OutboxService {
  const { db, clock } = rig;
  const { database, secretBox } = db;
  return new OutboxService({ database, secretBox, clock, mailIsOn, publicUrl: PUBLIC_URL });
}

async function entriesOfMail(orgId: string) {
  const entries = await new AuditTrail(rig.db.database).list(orgId);
  return entries.filter(({ action }) => action.startsWith('mail.'));
}

async function invite(orgId: string, secret: SealedMailPart, secretBox = rig.db.secretBox) {
  await rig.db.database.tenant(orgId, (q) =>
    mailSealedWithin(q, secretBox, orgId, {
      kind: 'invitation',
      dedupeKey: randomUUID(),
      atMs: rig.clock.nowMs(),
      secret,
    }),
  );
}

test('without a mail server everything waits, and operators see that it does, but no address and no token', async () => {
  const orgId = await rig.organization();
  await invite(orgId, { address: 'hidden@example.org', token: 'hidden-token' });
  const off = rig.sender({ office: null });
  expect(off.isOn).toBe(false);
  expect(await off.sendDue()).toMatchObject({ sent: 0, failed: 0 });
  expect(rig.backlog[0]).toBeGreaterThanOrEqual(1);
  const items = await outbox(false).list(orgId);
  expect(items).toMatchObject([{ kind: 'invitation', state: 'pending', hasLink: true }]);
  expect(JSON.stringify(items)).not.toContain('hidden');
  rig.clock.pass(6 * DAY_MS);
  await off.sendDue();
  const [late] = await outbox(false).list(orgId);
  expect(late).toMatchObject({ state: 'pending', hasLink: false });
  expect(await outbox(false).openLink(orgId, late?.id ?? '', OPERATOR)).toEqual({
    kind: 'not_found',
  });
});

test('with mail off an operator opens one link, and the trail says who did; with mail on nobody can', async () => {
  const orgId = await rig.organization();
  await invite(orgId, { address: 'x@example.org', token: 'abc' });
  const [item] = await outbox(false).list(orgId);
  const id = item?.id ?? '';
  expect(await outbox(true).openLink(orgId, id, OPERATOR)).toEqual({ kind: 'mail_is_on' });
  expect(await entriesOfMail(orgId)).toEqual([]);
  expect(await outbox(false).openLink(orgId, id, OPERATOR)).toEqual({
    kind: 'link',
    path: '/invitation#token=abc',
    url: `${PUBLIC_URL}/invitation#token=abc`,
  });
  const entries = await entriesOfMail(orgId);
  expect(entries).toMatchObject([{ action: 'mail.link_opened', actor: 'olga', subject: id }]);
  expect(JSON.stringify(entries)).not.toMatch(/abc|example\.org/);
  const other = await rig.organization();
  expect(await outbox(false).openLink(other, id, OPERATOR)).toEqual({ kind: 'not_found' });
});

test('what is in doubt is sent anew by a person, under the same Message-ID, and the trail says who', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'doubt@example.org');
  await rig.enqueue(orgId, userId, 1);
  rig.smtp.manners = { kind: 'close', at: 'body_read' };
  await rig.sender().sendDue();
  rig.smtp.manners = { kind: 'accept' };
  const [item] = await outbox(true).list(orgId, { state: 'unconfirmed' });
  const id = item?.id ?? '';
  expect(await outbox(true).resend(orgId, id, OPERATOR)).toEqual({ kind: 'queued' });
  expect(await outbox(true).resend(orgId, id, OPERATOR)).toEqual({
    kind: 'not_in_this_state',
    state: 'pending',
  });
  await rig.sender().sendDue();
  expect(rig.smtp.seen.map(({ messageId }) => messageId)).toEqual([
    `<${id}@shunt.example.com>`,
    `<${id}@shunt.example.com>`,
  ]);
  expect(await rig.states(orgId)).toEqual(['sent']);
  expect(await outbox(true).resend(orgId, id, OPERATOR)).toMatchObject({ state: 'sent' });
  expect(await outbox(true).resend(orgId, randomUUID(), OPERATOR)).toEqual({ kind: 'not_found' });
  const entries = await entriesOfMail(orgId);
  expect(entries).toMatchObject([
    { action: 'mail.resent', actor: 'olga', subject: id, oldValue: 'unconfirmed' },
  ]);
});

test('a token does not live longer because a person sends its mail anew', async () => {
  const orgId = await rig.organization();
  await invite(orgId, { address: 'refused@example.org', token: 'short' });
  rig.smtp.manners = { kind: 'refuse', at: 'rcpt', code: 550 };
  expect(await rig.sender().sendDue()).toMatchObject({ undeliverable: 1 });
  const [item] = await outbox(true).list(orgId);
  const id = item?.id ?? '';
  rig.clock.pass(4 * DAY_MS);
  expect(await outbox(true).resend(orgId, id, OPERATOR)).toEqual({ kind: 'queued' });
  expect(await rig.sender().sendDue()).toMatchObject({ undeliverable: 1 });
  rig.clock.pass(2 * DAY_MS);
  expect(await outbox(true).resend(orgId, id, OPERATOR)).toEqual({ kind: 'nothing_to_send' });
});

test('a page of the list goes on where the one before ended', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'pages@example.org');
  await rig.enqueue(orgId, userId, 5);
  const first = await outbox(true).list(orgId, { limit: 3 });
  const second = await outbox(true).list(orgId, { limit: 3, before: first.at(-1) });
  const ids = [...first, ...second].map(({ id }) => id);
  expect(ids).toEqual((await rig.rows(orgId)).map(({ id }) => id).toReversed());
});

test('finished mail is swept after 30 days, and nothing else is', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'swept@example.org');
  await rig.enqueue(orgId, userId, 4);
  const [old, recent, waiting, doubtful] = (await rig.rows(orgId)).map(({ id }) => id);
  const set = (id: string | undefined, assignments: string) =>
    rig.db.owner.tenant(orgId, (q) =>
      q.query(`UPDATE outbox SET ${assignments} WHERE id = $1`, [id]),
    );
  const expired = `expires_at = now() - interval '20 days'`;
  await set(old, `state = 'sent', sent_at = now() - interval '31 days'`);
  await set(recent, `state = 'sent', sent_at = now() - interval '29 days'`);
  await set(waiting, `created_at = now() - interval '40 days', ${expired}`);
  await set(doubtful, `created_at = now() - interval '40 days', state = 'unconfirmed'`);
  rig.clock.pass(3_650 * DAY_MS);
  expect(await rig.sender().sweep()).toBe(2);
  expect((await rig.rows(orgId)).map(({ id }) => id).toSorted()).toEqual(
    [recent, waiting].toSorted(),
  );
  await expect(
    rig.db.database.tenant(orgId, (q) => q.query('DELETE FROM outbox')),
  ).rejects.toMatchObject({ code: '42501' });
});

test('resealing brings every sealed part under the new key, and the mail is still sent', async () => {
  const orgId = await rig.organization();
  const [first, second] = [randomBytes(32), randomBytes(32)];
  await invite(
    orgId,
    { address: 'rekeyed@example.org', token: 'kept' },
    new SecretBox({ current: first, previous: null }),
  );
  const secretBox = new SecretBox({ current: second, previous: first });
  const reseal = () => rig.db.database.tenant(orgId, (q) => resealWithin(q, orgId, secretBox));
  expect(await reseal()).toEqual({ resealed: 1, alreadyCurrent: 0, unreadable: 0 });
  expect(await reseal()).toEqual({ resealed: 0, alreadyCurrent: 1, unreadable: 0 });
  const onlyNew = new SecretBox({ current: second, previous: null });
  expect(await rig.sender({ secretBox: onlyNew }).sendDue()).toMatchObject({ sent: 1 });
  expect((await rig.smtp.parse(rig.smtp.accepted[0])).text).toContain('#token=kept');
});

test('a sealed part that no key opens is kept for whoever has the key, and nothing is sent', async () => {
  const orgId = await rig.organization();
  const lost = new SecretBox({ current: randomBytes(32), previous: null });
  await invite(orgId, { address: 'lost@example.org', token: 't' }, lost);
  expect(await rig.sender().sendDue()).toMatchObject({ failed: 1 });
  const [row] = await rig.rows(orgId);
  expect(row).toMatchObject({ state: 'failed', last_error: 'sealed_unreadable' });
  expect(row?.sealed).not.toBeNull();
});
