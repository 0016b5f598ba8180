import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { backoffMs } from '../../../src/modules/mail/delivery-outcome.js';
import { TestSmtpServer } from '../../support/smtp.js';
import { FROM, MailRig, PUBLIC_URL } from './mail-rig.js';

let rig: MailRig;
beforeAll(async () => {
  rig = await MailRig.start();
});
afterAll(() => rig.stop());
beforeEach(() => rig.clear());

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
let addresses = 0;

async function oneMail(address = `person-${(addresses += 1)}@example.org`) {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, address);
  await rig.enqueue(orgId, userId, 1);
  return { orgId, userId, address };
}

test('what the server takes is sent, once, and the row says when', async () => {
  const { orgId, address } = await oneMail();
  const sender = rig.sender();
  expect(await sender.sendDue()).toMatchObject({ sent: 1, failed: 0, unconfirmed: 0 });
  expect(await sender.sendDue()).toMatchObject({ sent: 0 });
  expect(rig.smtp.seen.map(({ to, from }) => [to, from])).toEqual([
    [[address], 'shunt@mail.example.com'],
  ]);
  const [row] = await rig.rows(orgId);
  expect(row).toMatchObject({ state: 'sent', attempts: 1, last_error: null });
  expect(row?.sent_at?.getTime()).toBe(rig.clock.nowMs());
  expect(rig.smtp.seen[0]?.messageId).toBe(`<${row?.id}@shunt.example.com>`);
  expect(rig.ended).toEqual(['status_changed sent']);
  expect(rig.backlog).toEqual([0, 0]);
});

test('an unknown recipient is undeliverable at once', async () => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'refuse', at: 'rcpt', code: 550 };
  expect(await rig.sender().sendDue()).toMatchObject({ undeliverable: 1 });
  expect((await rig.rows(orgId))[0]).toMatchObject({
    state: 'undeliverable',
    last_error: 'smtp_550',
  });
});

test.each([
  ['rcpt', 451],
  ['mail', 451],
  ['mail', 550],
  ['data', 452],
  ['data', 554],
] as const)('a refusal of %s with %i is tried again, later and later', async (at, code) => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'refuse', at, code };
  const sender = rig.sender();
  expect(await sender.sendDue()).toMatchObject({ deferred: 1, sent: 0 });
  expect((await rig.rows(orgId))[0]).toMatchObject({
    state: 'pending',
    attempts: 1,
    last_error: `smtp_${code}`,
  });
  expect(await sender.sendDue()).toMatchObject({ deferred: 0, sent: 0 });
  rig.clock.pass(MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ deferred: 1 });
  rig.clock.pass(MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ deferred: 0 });
  rig.clock.pass(MINUTE_MS);
  rig.smtp.manners = { kind: 'accept' };
  expect(await sender.sendDue()).toMatchObject({ sent: 1 });
  expect(rig.smtp.accepted).toHaveLength(1);
});

test('after twelve refusals a mail has failed, for a person to look at', async () => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'refuse', at: 'rcpt', code: 451 };
  const sender = rig.sender();
  const waits: number[] = [];
  for (let run = 0; run < 20; run += 1) {
    await sender.sendDue();
    const [row] = await rig.rows(orgId);
    if (row?.state !== 'pending') break;
    waits.push(row.next_attempt_at.getTime() - rig.clock.nowMs());
    rig.clock.pass(waits.at(-1) ?? 0);
  }
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'failed', attempts: 12 });
  expect(waits).toEqual(Array.from({ length: 11 }, (_, index) => backoffMs(index + 1)));
  expect(waits[0]).toBe(MINUTE_MS);
  expect(waits.at(-1)).toBe(6 * HOUR_MS);
});

test.each(['body_begins', 'body_read'] as const)(
  'a connection that is lost at %s leaves the mail in doubt: it is never sent by itself again',
  async (at) => {
    const { orgId } = await oneMail();
    rig.smtp.manners = { kind: 'close', at };
    const sender = rig.sender();
    expect(await sender.sendDue()).toMatchObject({ unconfirmed: 1, sent: 0 });
    rig.smtp.manners = { kind: 'accept' };
    rig.clock.pass(48 * HOUR_MS);
    expect(await sender.sendDue()).toMatchObject({ sent: 0, deferred: 0 });
    expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'unconfirmed', attempts: 1 });
    expect(rig.smtp.accepted).toEqual([]);
    expect(rig.ended).toEqual(['status_changed unconfirmed']);
  },
);

test('a server that says nothing to a body leaves the mail in doubt, in bounded time', async () => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'silent', at: 'body_read' };
  expect(await rig.impatient({ bodyMsMax: 200 }).sendDue()).toMatchObject({ unconfirmed: 1 });
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'unconfirmed', last_error: 'timeout' });
});

test('a server that falls silent before the body has certainly not got the mail: it is tried again', async () => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'silent', at: 'mail' };
  expect(await rig.impatient({ envelopeMsMax: 200 }).sendDue()).toMatchObject({ deferred: 1 });
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'pending', last_error: 'timeout' });
});

test('a slow server is waited for', async () => {
  await oneMail();
  rig.smtp.manners = { kind: 'slow', replyAfterMs: 300 };
  expect(await rig.sender().sendDue()).toMatchObject({ sent: 1 });
});

test.each([
  [{ kind: 'close', at: 'connect' }, {}],
  [{ kind: 'silent', at: 'connect' }, { greetingMsMax: 200 }],
  [{ kind: 'silent', at: 'connect' }, { openMsMax: 200 }],
] as const)(
  'while no session can be had (%o), no mail loses an attempt',
  async (manners, limits) => {
    const { orgId } = await oneMail();
    rig.smtp.manners = manners;
    const sender = rig.impatient(limits);
    expect(await sender.sendDue()).toMatchObject({ sent: 0, deferred: 0, failed: 0 });
    expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'pending', attempts: 0 });
    expect(rig.ended).toContain('server away');
    expect(rig.backlog[0]).toBe(1);
    rig.smtp.manners = { kind: 'accept' };
    rig.clock.pass(MINUTE_MS);
    expect(await sender.sendDue()).toMatchObject({ sent: 1 });
  },
);

test('a connection that is lost before the body costs an attempt, and doubt never', async () => {
  const { orgId } = await oneMail();
  rig.smtp.manners = { kind: 'close', at: 'mail' };
  const sender = rig.sender();
  expect(await sender.sendDue()).toMatchObject({ deferred: 1 });
  rig.smtp.manners = { kind: 'accept' };
  rig.clock.pass(MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ sent: 1 });
  expect(await rig.states(orgId)).toEqual(['sent']);
});

test('one refused mail does not hold up the others', async () => {
  const orgId = await rig.organization();
  const [first, second] = ['refused@example.org', 'wanted@example.org'];
  const users = [await rig.member(orgId, first), await rig.member(orgId, second)];
  for (const userId of users) await rig.enqueue(orgId, userId, 1);
  rig.smtp.mannersFor.set(first, { kind: 'refuse', at: 'rcpt', code: 550 });
  expect(await rig.sender().sendDue()).toMatchObject({ sent: 1, undeliverable: 1 });
  expect(rig.smtp.accepted.map(({ to }) => to[0])).toEqual([second]);
});

test('two senders at once send everything once', async () => {
  const orgs = await Promise.all([1, 2, 3].map(() => rig.organization()));
  for (const orgId of orgs) {
    const userId = await rig.member(orgId, `both-${orgId.slice(0, 8)}@example.org`);
    await rig.enqueue(orgId, userId, 20);
  }
  const other = await rig.db.connect();
  try {
    const reports = await Promise.all([
      rig.sender().sendDue(),
      rig.sender({ database: other }).sendDue(),
      rig.sender({ database: other }).sendDue(),
    ]);
    const sent = reports.map((report) => report.sent);
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(60);
    expect(sent.filter((count) => count > 0).length).toBeGreaterThan(1);
    expect(rig.smtp.seen).toHaveLength(60);
    expect(new Set(rig.smtp.seen.map(({ messageId }) => messageId)).size).toBe(60);
  } finally {
    await other.close();
  }
});

test('a mail server that is away for hours gets everything afterwards: once, in order, after few attempts', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'patient@example.org');
  await rig.enqueue(orgId, userId, 5);
  const away = await TestSmtpServer.start();
  const { url } = away;
  await away.stop();
  const site = { publicUrl: PUBLIC_URL, from: FROM };
  let attempts = 0;
  const closed = rig.transport({}, url);
  const open = rig.transport();
  let isAway = true;
  const transport = {
    open: () => {
      attempts += 1;
      return (isAway ? closed : open).open();
    },
  };
  const sender = rig.sender({ office: { transport, site } });
  const SECONDS_APART = 30;
  for (let second = 0; second < 8 * 3_600; second += SECONDS_APART) {
    await sender.sendDue();
    rig.clock.pass(SECONDS_APART * 1_000);
    if (second === 4 * 3_600) await rig.enqueue(orgId, userId, 5);
  }
  // Four sessions may try at once, at most every quarter of an hour.
  expect(attempts).toBeLessThanOrEqual(4 * (4 + (8 * 60) / 15));
  isAway = false;
  rig.clock.pass(15 * MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ sent: 10 });
  const rows = await rig.rows(orgId);
  expect(rows.map(({ state, attempts: of }) => [state, of])).toEqual(rows.map(() => ['sent', 1]));
  expect(rig.smtp.seen.map(({ messageId }) => messageId)).toEqual(
    rows.map(({ id }) => `<${id}@shunt.example.com>`),
  );
});

test('a mail that waited for five days is given up instead of being sent as old news', async () => {
  const { orgId } = await oneMail();
  rig.clock.pass(5 * 24 * HOUR_MS);
  expect(await rig.sender().sendDue()).toMatchObject({ sent: 0, failed: 1 });
  expect((await rig.rows(orgId))[0]).toMatchObject({ state: 'failed', last_error: 'expired' });
});

test('a claim that nobody ended becomes unconfirmed, and only when its owner must be dead', async () => {
  const { orgId } = await oneMail();
  await rig.db.database.tenant(orgId, (q) =>
    q.query(`UPDATE outbox SET state = 'sending', claimed_at = $1`, [new Date(rig.clock.nowMs())]),
  );
  const sender = rig.sender();
  rig.clock.pass(14 * MINUTE_MS);
  await sender.sendDue();
  expect(await rig.states(orgId)).toEqual(['sending']);
  rig.clock.pass(2 * MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ unconfirmed: 1 });
  expect((await rig.rows(orgId))[0]).toMatchObject({ last_error: 'claim_abandoned' });
  expect(rig.smtp.seen).toEqual([]);
});

test('a process that slept through its claim sends nothing when it wakes up', async () => {
  const { orgId } = await oneMail();
  const transport = rig.transport();
  const sleepy = {
    open: async () => {
      const session = await transport.open();
      return {
        get usable() {
          return session.usable;
        },
        close: () => session.close(),
        deliver: (...[mail, mayBegin]: Parameters<typeof session.deliver>) => {
          rig.clock.pass(20 * MINUTE_MS);
          return session.deliver(mail, mayBegin);
        },
      };
    },
  };
  const site = { publicUrl: PUBLIC_URL, from: FROM };
  const report = await rig.sender({ office: { transport: sleepy, site } }).sendDue();
  expect(report).toMatchObject({ sent: 0, deferred: 1 });
  expect(rig.smtp.seen).toEqual([]);
  expect(await rig.states(orgId)).toEqual(['pending']);
});

test('a database that fails after the mail went out is told of it by the next run', async () => {
  const { orgId } = await oneMail();
  let failing = true;
  const { database } = rig.db;
  let tenants = 0;
  const flaky: Pick<typeof database, 'query' | 'tenant'> = {
    query: (sql, parameters) => database.query(sql, parameters),
    tenant: (org, work) => {
      tenants += 1;
      // The third is the one that stores how it ended.
      return failing && tenants >= 3
        ? Promise.reject(new Error('away'))
        : database.tenant(org, work);
    },
  };
  const sender = rig.sender({ database: flaky });
  await sender.sendDue().catch(() => undefined);
  expect(await rig.states(orgId)).toEqual(['sending']);
  failing = false;
  await sender.sendDue();
  expect(await rig.states(orgId)).toEqual(['sent']);
  expect(rig.smtp.seen).toHaveLength(1);
});

test('a run that is asked to end, or took its 2 minutes, begins no further delivery', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'awaited@example.org');
  await rig.enqueue(orgId, userId, 3);
  const sender = rig.sender();
  expect(await sender.sendDue(AbortSignal.abort())).toMatchObject({ sent: 0 });
  rig.smtp.onBody = () => rig.clock.pass(2 * MINUTE_MS);
  expect(await sender.sendDue()).toMatchObject({ sent: 1 });
  expect(await rig.states(orgId)).toEqual(['sent', 'pending', 'pending']);
});

test('closing ends the run, and nothing is sent afterwards', async () => {
  const orgId = await rig.organization();
  const userId = await rig.member(orgId, 'late@example.org');
  await rig.enqueue(orgId, userId, 3);
  rig.smtp.manners = { kind: 'slow', replyAfterMs: 100 };
  const sender = rig.sender();
  const begun = new Promise<void>((resolve) => {
    rig.smtp.onBody = resolve;
  });
  const running = sender.sendDue();
  await begun;
  await sender.close();
  expect(await running).toMatchObject({ sent: 1 });
  await sender.sendDue();
  expect(rig.smtp.seen).toHaveLength(1);
  expect(await rig.states(orgId)).toEqual(['sent', 'pending', 'pending']);
});

test('no address, token or word of a mail is in the log, or in what is kept of a failure', async () => {
  const address = 'secret-person@example.org';
  const { orgId } = await oneMail(address);
  for (const manners of [
    { kind: 'refuse', at: 'rcpt', code: 451 },
    { kind: 'close', at: 'mail' },
    { kind: 'refuse', at: 'data', code: 554 },
    { kind: 'close', at: 'body_read' },
  ] as const) {
    rig.smtp.manners = manners;
    await rig.sender().sendDue();
    rig.clock.pass(12 * HOUR_MS);
    const [row] = await rig.rows(orgId);
    expect(row?.last_error).toMatch(/^[A-Za-z0-9_]{1,60}$/);
  }
  expect(rig.log).toContain('the mail server cannot be reached');
  for (const needle of ['example.org', 'someone@', 'not wanted', 'secret-person', 'RCPT TO:']) {
    expect(rig.log).not.toContain(needle);
  }
});
