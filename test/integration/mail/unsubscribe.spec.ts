import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { mailUserWithin } from '../../../src/modules/mail/outbox.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { TestSmtpServer } from '../../support/smtp.js';

let smtp: TestSmtpServer;
let gateway: TestGateway;
let orgId: string;
let userId: string;

beforeAll(async () => {
  smtp = await TestSmtpServer.start();
  gateway = await startGateway({
    env: {
      SMTP_URL: smtp.url,
      MAIL_FROM: 'Shunt <shunt@example.com>',
      SHUNT_PUBLIC_URL: 'https://shunt.example.com',
    },
  });
  const { database, principals } = gateway.app.engine;
  const found = await principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  orgId = found.principal.orgId;
  const [owner] = await database.tenant(orgId, (q) =>
    q.query<{ id: string }>('SELECT user_id AS id FROM memberships'),
  );
  userId = owner?.id ?? '';
});
afterAll(async () => {
  await gateway?.stop();
  await smtp?.stop();
});

async function reminders(set?: boolean): Promise<boolean | undefined> {
  const [row] = await gateway.app.engine.database.tenant(orgId, async (q) => {
    if (set !== undefined) await q.query('UPDATE memberships SET reminders = $1', [set]);
    return q.query<{ reminders: boolean }>('SELECT reminders FROM memberships');
  });
  return row?.reminders;
}
beforeEach(() => reminders(true));

const path = () =>
  `/api/unsubscribe?token=${gateway.app.engine.services.reminders.tokenFor(orgId, userId)}`;
const ask = (to: string, init?: RequestInit) => fetch(gateway.origin + to, init);

test('the link in a mail is the one that works, and the metrics count the mail', async () => {
  const { database, services } = gateway.app.engine;
  await database.tenant(orgId, (q) =>
    mailUserWithin(q, orgId, userId, { kind: 'interim_report', dedupeKey: 'i', atMs: Date.now() }),
  );
  expect(await services.mail.sendDue()).toMatchObject({ sent: 1 });
  const mail = await smtp.parse(smtp.accepted.at(-1));
  const header = mail.headers.find(({ key }) => key === 'list-unsubscribe')?.value ?? '';
  expect(header).toBe(`<https://shunt.example.com${path()}>`);
  expect(mail.html).toContain(path());
  const metrics = await (await ask('/metrics')).text();
  expect(metrics).toContain('shunt_mails_total{kind="interim_report",end="sent"} 1');
  expect(metrics).toContain('shunt_mails_waiting 0');
});

test('opening the link changes nothing: it shows a button', async () => {
  const answer = await ask(path());
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toContain('text/html');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('content-security-policy')).toContain("form-action 'self'");
  expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
  expect(await answer.text()).toContain('<form method="post"><button');
  expect(await ask(path(), { method: 'HEAD' })).toMatchObject({ status: 200 });
  expect(await reminders()).toBe(true);
});

const multipart = () => {
  const form = new FormData();
  form.set('List-Unsubscribe', 'One-Click');
  return form;
};

test.each([
  ['a form', () => new URLSearchParams({ 'List-Unsubscribe': 'One-Click' })],
  ['a multipart form', multipart],
  ['nothing', () => undefined],
])(
  'a mail program that posts %s, from nowhere and without a cookie, unsubscribes',
  async (_, body) => {
    const post = { method: 'POST', body: body() } as const;
    expect((await ask(path(), post)).status).toBe(200);
    expect(await reminders()).toBe(false);
    expect((await ask(path(), { ...post, body: body() })).status).toBe(200);
    expect(await reminders()).toBe(false);
  },
);

test('another token unsubscribes nobody, and says nothing about anybody', async () => {
  for (const token of ['', '?token=x', `${path().slice('/api/unsubscribe'.length)}x`]) {
    for (const method of ['GET', 'POST']) {
      const answer = await ask(`/api/unsubscribe${token}`, { method });
      expect(answer.status, token).toBe(404);
      expect(await answer.text()).toContain('This link does not work');
    }
  }
  expect((await ask(`${path()}&token=again`, { method: 'POST' })).status).toBe(404);
  expect(await reminders()).toBe(true);
});

test('a form larger than any mail program sends is refused', async () => {
  const form = multipart();
  form.set('rest', 'x'.repeat(10_000));
  expect((await ask(path(), { method: 'POST', body: form })).status).toBe(413);
});

test('the token is in no log', () => {
  expect(gateway.logs()).not.toContain(path().split('=')[1]);
});
