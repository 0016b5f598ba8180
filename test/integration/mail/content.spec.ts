import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { INSTALLATION_ID } from '../../../src/modules/audit/audit-entry.js';
import {
  MAIL_KINDS,
  mailOwnersWithin,
  mailSealedWithin,
  mailUserWithin,
  type MailKind,
} from '../../../src/modules/mail/outbox.js';
import { FROM, MailRig, PUBLIC_URL } from './mail-rig.js';

let rig: MailRig;
beforeAll(async () => {
  rig = await MailRig.start();
});
afterAll(() => rig.stop());
beforeEach(() => rig.clear());

const REPORT = {
  period: { from: '2026-11-01T00:00:00.000Z', to: '2026-11-15T00:00:00.000Z' },
  calls: 12_345,
  metered_calls: 12_000,
  unmetered_calls: 300,
  unpriceable_calls: 45,
  spend_nano_usd: '1234500000000',
  projected_nano_usd: '987000123000',
  projected_savings_nano_usd: '247499877000',
  projected_calls: 11_000,
  report_id: '0199a1b2-0000-7000-8000-000000000001',
};

async function deliver(orgId: string, userId: string, kind: MailKind, data = {}) {
  await rig.db.database.tenant(orgId, (q) =>
    mailUserWithin(q, orgId, userId, {
      kind,
      dedupeKey: randomUUID(),
      atMs: rig.clock.nowMs(),
      data,
    }),
  );
  await rig.sender().sendDue();
  return rig.smtp.parse(rig.smtp.accepted.at(-1));
}

test('a report mail has its figures, in text and in HTML, and every header that a mail of a machine needs', async () => {
  const orgId = await rig.organization('Acme <b>& Sons</b>');
  const userId = await rig.member(orgId, 'owner-1@example.org');
  const mail = await deliver(orgId, userId, 'interim_report', REPORT);
  for (const body of [mail.text ?? '', mail.html ?? '']) {
    for (const figure of [
      '12,345',
      '12,000',
      '300',
      '45',
      '$1,234.50',
      '$987.000123',
      '$247.499877',
      '20.0 % of the spend',
      '1 November 2026 to 15 November 2026',
      `${PUBLIC_URL}/reports/${REPORT.report_id}`,
      `${PUBLIC_URL}/api/unsubscribe?token=`,
    ]) {
      expect(body).toContain(figure);
    }
  }
  expect(mail.html).not.toContain('<b>');
  expect(mail.html).toContain('Acme &lt;b&gt;&amp; Sons');
  expect(mail.text).toContain('Acme <b>& Sons');
  expect(mail.html).not.toMatch(/<img|<script|src=|@import|url\(/i);
  const header = (name: string) => mail.headers.find(({ key }) => key === name)?.value;
  expect(header('auto-submitted')).toBe('auto-generated');
  expect(header('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click');
  expect(header('list-unsubscribe')).toMatch(
    /^<https:\/\/shunt\.example\.com\/api\/unsubscribe\?token=[\w.-]+>$/,
  );
  expect(Date.parse(mail.date ?? '')).toBe(rig.clock.nowMs());
  expect(mail.from).toMatchObject({ name: 'Shunt', address: 'shunt@mail.example.com' });
  expect(mail.to).toMatchObject([{ address: 'owner-1@example.org' }]);
  expect(mail.messageId).toBe(`<${(await rig.rows(orgId)).at(-1)?.id}@shunt.example.com>`);
});

test('every kind is written with nothing but its name, and with everything', async () => {
  const orgId = await rig.organization('All kinds');
  const userId = await rig.member(orgId, 'owner-2@example.org');
  for (const kind of MAIL_KINDS) {
    for (const data of [{}, { ...REPORT, to: 'suspended', hold: true, limit: 'seats', used: 4 }]) {
      const mail = await deliver(orgId, userId, kind, data);
      expect(mail.subject?.length, kind).toBeGreaterThan(10);
      expect(mail.text, kind).not.toMatch(/undefined|null|NaN|\[object/);
      expect(mail.html, kind).not.toMatch(/undefined|null|NaN|\[object/);
    }
  }
  expect(new Set(rig.ended.map((end) => end.split(' ')[1]))).toEqual(new Set(['sent']));
});

test('only reminders can be unsubscribed from, and who did gets no more of them, but the news', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'owner-3@example.org');
  const news = await deliver(orgId, userId, 'status_changed', { to: 'active' });
  expect(news.text).not.toContain('unsubscribe');
  expect(news.headers.some(({ key }) => key === 'list-unsubscribe')).toBe(false);
  const reminder = await deliver(orgId, userId, 'reminder_one_day', REPORT);
  const token = /unsubscribe\?token=([\w.-]+)/.exec(reminder.text ?? '')?.[1] ?? '';
  expect(await rig.reminders.unsubscribe(token)).toBe(true);
  expect(await rig.reminders.unsubscribe(token)).toBe(true);
  rig.smtp.seen.length = 0;
  for (const kind of [
    'interim_report',
    'reminder_three_days',
    'reminder_one_day',
    'reminder_after_end',
    'conversion_report',
    'status_changed',
  ] as const) {
    await deliver(orgId, userId, kind, REPORT).catch(() => undefined);
  }
  expect(rig.smtp.accepted).toHaveLength(2);
  expect((await rig.rows(orgId)).filter(({ state }) => state === 'skipped')).toHaveLength(4);
});

test('a token of another user, organization, purpose or secret unsubscribes nobody', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'owner-4@example.org');
  const token = rig.reminders.tokenFor(orgId, userId);
  const [ids, tag] = token.split('.') as [string, string];
  const otherIds = rig.reminders.tokenFor(orgId, randomUUID()).split('.')[0];
  const last = tag.at(-1) === 'A' ? 'E' : 'A';
  for (const forged of [
    '',
    ids,
    `${otherIds}.${tag}`,
    `${ids}.${tag.slice(0, -1)}${last}`,
    `${token}A`,
  ]) {
    expect(await rig.reminders.unsubscribe(forged), forged).toBe(false);
  }
  expect(
    await rig.db.database.tenant(orgId, (q) => q.query('SELECT reminders FROM memberships')),
  ).toEqual([{ reminders: true }]);
});

test('whoever has left the organization since gets nothing of it', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'gone@example.org');
  await rig.enqueue(orgId, userId, 1, 'conversion_report');
  await rig.db.database.tenant(orgId, (q) => q.query('DELETE FROM memberships'));
  expect(await rig.sender().sendDue()).toMatchObject({ skipped: 1, sent: 0 });
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'skipped', last_error: 'no_member' });
});

test('a sealed address and token reach the mail, and are gone from the table once it is sent', async () => {
  const orgId = await rig.organization('Inviting');
  await rig.db.database.tenant(orgId, (q) =>
    mailSealedWithin(q, rig.db.secretBox, orgId, {
      kind: 'invitation',
      dedupeKey: 'invitation:1',
      atMs: rig.clock.nowMs(),
      data: { role: 'admin' },
      secret: { address: 'new-person@example.org', token: 'tok-en_1' },
    }),
  );
  expect((await rig.rows(orgId))[0]?.sealed).not.toBeNull();
  await rig.sender().sendDue();
  const mail = await rig.smtp.parse(rig.smtp.accepted[0]);
  expect(mail.to).toMatchObject([{ address: 'new-person@example.org' }]);
  expect(mail.text).toContain(`${PUBLIC_URL}/invitation#token=tok-en_1`);
  expect(mail.subject).toBe('You are invited to "Inviting" on Shunt');
  expect(mail.text).toContain('as an admin');
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'sent', sealed: null });
});

test("the installation's own mail is sent without an organization", async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'forgetful@example.org', 'member');
  await rig.db.database.tenant(INSTALLATION_ID, (q) =>
    mailSealedWithin(q, rig.db.secretBox, INSTALLATION_ID, {
      kind: 'password_reset',
      dedupeKey: 'reset:1',
      atMs: rig.clock.nowMs(),
      userId,
      secret: { token: 'r-1' },
    }),
  );
  expect(await rig.sender().sendDue()).toMatchObject({ sent: 1 });
  const mail = await rig.smtp.parse(rig.smtp.accepted[0]);
  expect(mail.to).toMatchObject([{ address: 'forgetful@example.org' }]);
  expect(mail.html).toContain(`href="${PUBLIC_URL}/reset-password#token=r-1"`);
});

test('without a public address a mail names the path, and offers no link that leads nowhere', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'owner-5@example.org');
  await rig.enqueue(orgId, userId, 1, 'interim_report');
  const office = { transport: rig.transport(), site: { publicUrl: null, from: FROM } };
  await rig.sender({ office }).sendDue();
  const mail = await rig.smtp.parse(rig.smtp.accepted[0]);
  expect(mail.text).toContain('at the address of your Shunt dashboard');
  expect(mail.text).toContain('\n/reports\n');
  expect(mail.html).not.toContain('href');
  expect(mail.headers.some(({ key }) => key.startsWith('list-'))).toBe(false);
  expect(mail.messageId).toMatch(/@mail\.example\.com>$/);
});

test('owners are mailed in one statement, each once, however often a step runs; nobody is told where there is none', async () => {
  const orgId = await rig.organization();
  const nobody = await rig.organization();
  const [one, two] = [
    await rig.member(orgId, 'o1@example.org'),
    await rig.member(orgId, 'o2@example.org'),
  ];
  await rig.member(orgId, 'm1@example.org', 'member');
  const mail = { kind: 'conversion_report', dedupeKey: 'end', atMs: rig.clock.nowMs() } as const;
  let statements = 0;
  for (const org of [orgId, orgId, nobody]) {
    await rig.db.database.tenant(org, (q) =>
      mailOwnersWithin(
        {
          query: (sql, parameters) => {
            statements += 1;
            return q.query(sql, parameters);
          },
        },
        org,
        mail,
      ),
    );
  }
  expect(statements).toBe(3);
  const rows = await rig.db.database.tenant(orgId, (q) =>
    q.query<{ to: string }>('SELECT recipient_user_id AS to FROM outbox'),
  );
  expect(rows.map(({ to }) => to).toSorted()).toEqual([one, two].toSorted());
  expect(await rig.states(nobody)).toEqual(['undeliverable']);
});

test('an address that could hide another one, or a header, is sent nothing', async () => {
  const orgId = await rig.organization();
  for (const address of ['a@b.example,c@d.example', 'a@b.example\r\nBcc: x@y.example', '<a@b>']) {
    await rig.db.database.tenant(orgId, (q) =>
      mailSealedWithin(q, rig.db.secretBox, orgId, {
        kind: 'invitation',
        dedupeKey: randomUUID(),
        atMs: rig.clock.nowMs(),
        secret: { address, token: 't' },
      }),
    );
  }
  expect(await rig.sender().sendDue()).toMatchObject({ undeliverable: 3, sent: 0 });
  expect(rig.smtp.seen).toEqual([]);
});
